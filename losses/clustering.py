"""The clustering loss of deep embedded clustering.

Source: Xie, Girshick, Farhadi, "Unsupervised Deep Embedding for Clustering Analysis", ICML 2016, eq. 2.
"""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional


def clustering_kl(p: Float[Tensor, "n k"], q: Float[Tensor, "n k"]) -> Float[Tensor, ""]:
    """Mean over the rows of KL(p_i || q_i) = sum_j p_ij log(p_ij / q_ij), in nats, at least 0 (DEC, eq. 2).

    Args:
        p: target distribution, held fixed; rows sum to 1 and may contain zeros.
        q: soft assignment; the gradient flows through it.
    """
    # A q below the smallest normal number would make log q infinite.
    log_q = q.clamp_min(1e-30).log()
    return functional.kl_div(log_q, p, reduction="batchmean")
