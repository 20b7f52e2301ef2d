"""The clustering loss of deep embedded clustering.

Source: Xie, Girshick, Farhadi, "Unsupervised Deep Embedding for Clustering Analysis", ICML 2016, eq. 2.
"""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from losses.precision import in_full_precision


@in_full_precision
def clustering_kl(p: Float[Tensor, "n k"], log_q: Float[Tensor, "n k"]) -> Float[Tensor, ""]:
    """Mean over the rows of KL(p_i || q_i) = sum_j p_ij log(p_ij / q_ij), in nats, at least 0 (DEC, eq. 2).

    It takes log q and not q: a q that is too small for a float has no gradient, just where it is the most wrong.

    Args:
        p: target distribution, held fixed; rows sum to 1 and may contain zeros.
        log_q: logarithm of the soft assignment, finite; the gradient flows through it.
    """
    return functional.kl_div(log_q, p, reduction="batchmean")
