"""The equations of deep embedded clustering: soft assignment q, target distribution p, and KL(p ‖ q).

Source: Xie, Girshick, Farhadi, "Unsupervised Deep Embedding for Clustering Analysis", ICML 2016, eqs. 1 to 3.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from losses.precision import in_full_precision
from losses.squared_distances import squared_distances


@in_full_precision
def soft_assignment(
    z: Float[Tensor, "n d"], centroids: Float[Tensor, "k d"], alpha: float = 1.0
) -> Float[Tensor, "n k"]:
    """Similarity of every latent to every centroid by Student's t kernel; rows sum to 1.

        q_ij = (1 + |z_i - mu_j|^2 / alpha)^(-(alpha + 1) / 2) / sum over j' of the same     (DEC, eq. 1)

    Args:
        z: latents.
        centroids: mu, one row a cluster.
        alpha: degrees of freedom of the kernel, above 0; the paper uses 1.
    """
    # In logarithms, so that a far-off latent has a proper row instead of 0 / 0.
    return torch.softmax(_log_kernel(z, centroids, alpha), dim=1)


@in_full_precision
def log_soft_assignment(
    z: Float[Tensor, "n d"], centroids: Float[Tensor, "k d"], alpha: float = 1.0
) -> Float[Tensor, "n k"]:
    """log q, of which `clustering_kl` has a gradient however small q is; arguments as of `soft_assignment`."""
    return torch.log_softmax(_log_kernel(z, centroids, alpha), dim=1)


def _log_kernel(z: Float[Tensor, "n d"], centroids: Float[Tensor, "k d"], alpha: float) -> Float[Tensor, "n k"]:
    """Logarithm of Student's t kernel, up to a constant."""
    return -(alpha + 1) / 2 * torch.log1p(squared_distances(z, centroids) / alpha)


@in_full_precision
def cluster_frequencies(q: Float[Tensor, "n k"]) -> Float[Tensor, " k"]:
    """Soft cluster sizes f_j = sum_i q_ij, in float64 (DEC, eq. 3)."""
    return q.sum(dim=0, dtype=torch.float64)


@in_full_precision
def target_distribution(
    q: Float[Tensor, "n k"], frequencies: Float[Tensor, " k"] | None = None
) -> Float[Tensor, "n k"]:
    """The target p that sharpens q and evens out cluster sizes; rows sum to 1.

        p_ij = (q_ij^2 / f_j) / sum over j' of the same,   f_j = sum_i q_ij     (DEC, eq. 3)

    Args:
        q: soft assignment; of the whole training set, or of a part of it when `frequencies` is given.
        frequencies: f over the whole training set. The default sums the rows of `q`, which is right only
            when `q` holds the whole training set: a batch's own frequencies are not DEC.
    """
    f = cluster_frequencies(q) if frequencies is None else frequencies
    # An empty cluster has q = 0 throughout; the floor makes its weight 0 instead of 0 / 0.
    weight = q.double().square() / f.double().clamp_min(torch.finfo(torch.float64).tiny)
    return (weight / weight.sum(dim=1, keepdim=True)).to(q.dtype)


@in_full_precision
def clustering_kl(p: Float[Tensor, "n k"], log_q: Float[Tensor, "n k"]) -> Float[Tensor, ""]:
    """Mean over the rows of KL(p_i || q_i) = sum_j p_ij log(p_ij / q_ij), in nats, at least 0 (DEC, eq. 2).

    It takes log q and not q: a q that is too small for a float has no gradient, just where it is the most wrong.

    Args:
        p: target distribution, held fixed; rows sum to 1 and may contain zeros.
        log_q: logarithm of the soft assignment, finite; the gradient flows through it.
    """
    return functional.kl_div(log_q, p, reduction="batchmean")
