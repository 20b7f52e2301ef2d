"""The clustering loss of neighbours: an image and its neighbour belong to one cluster, and clusters have given sizes.

Source: Van Gansbeke, Vandenhende, Georgoulis, Proesmans, Van Gool, "SCAN: Learning to Classify Images without Labels",
ECCV 2020, eq. 2. With the marginal entropy it is a bound on the mutual information of images and clusters, as in Hu et
al., "Learning Discrete Representations via Information Maximizing Self-Augmented Training", ICML 2017.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from losses.precision import in_full_precision


@in_full_precision
def disagreement(first: Float[Tensor, "*r n k"], second: Float[Tensor, "*r n k"]) -> Float[Tensor, "*r"]:
    """Mean over pairs of -log sum_c p_c q_c, in nats, at least 0: the surprise that both are of one cluster.

    Args:
        first: log p of an image of every pair; the rows of p sum to 1.
        second: log q of the other.
    """
    return -torch.logsumexp(first + second, dim=-1).mean(dim=-1)


@in_full_precision
def marginal_divergence(mean: Float[Tensor, "*r k"], prior: Float[Tensor, "*#r k"]) -> Float[Tensor, "*r"]:
    """KL(mean of p ‖ prior), in nats, at least 0: how far cluster sizes are from what is expected.

    Under the uniform prior it is log k less the entropy of the mean, the second term of SCAN's eq. 2.

    Args:
        mean: of p over many images, so that it stands for the mean over all; sums to 1, and may hold zeros.
        prior: expected shares of the clusters, above 0, which sum to 1; the same for all heads, or each head's own.
    """
    return (mean * (mean.clamp_min(torch.finfo(mean.dtype).tiny).log() - prior.log())).sum(dim=-1)
