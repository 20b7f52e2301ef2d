"""DeepDPM: the E step that its network learns, the loss of sub-clusters, and the ratio that decides on a split.

Source: Ronen, Finder, Freifeld, "DeepDPM: Deep Clustering With an Unknown Number of Clusters", CVPR 2022, section 4.
The ratio is from Chang, Fisher, "Parallel Sampling of DP Mixture Models using Sub-Cluster Splits", NeurIPS 2013.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from losses.precision import in_full_precision


class FullMixture(NamedTuple):
    """A Gaussian mixture with full covariances, ready for densities.

    Attributes:
        log_weights: (k,), log π, finite; of a component that is not there a very low number.
        whitenings: (k, d, d), L⁻¹ where Σ = L Lᵀ.
        shifts: (k, d), L⁻¹ μ.
        log_scales: (k,), log |L|, half of log |Σ|.
    """

    log_weights: Float[Tensor, " k"]
    whitenings: Float[Tensor, "k d d"]
    shifts: Float[Tensor, "k d"]
    log_scales: Float[Tensor, " k"]


@in_full_precision
def log_e_step(z: Float[Tensor, "n d"], mixture: FullMixture) -> Float[Tensor, "n k"]:
    """log r^E, the posterior of every component given a point, in logarithms; the rows of r^E sum to 1 (eq. 2).

        r^E_ik = π_k N(z_i; μ_k, Σ_k) / sum over k' of the same

    Args:
        z: points.
        mixture: k components.
    """
    # One product for all components: where whitened, points of a component are near its shift, and lose no digits.
    whitened = (z @ mixture.whitenings.flatten(0, 1).T).view(-1, *mixture.shifts.shape)  # (n, k, d)
    squared = (whitened - mixture.shifts).square().sum(dim=2)
    return torch.log_softmax(mixture.log_weights - mixture.log_scales - 0.5 * squared, dim=1)


@in_full_precision
def subcluster_distance(
    z: Float[Tensor, "n d"], log_shares: Float[Tensor, "n 2"], means: Float[Tensor, "n 2 d"]
) -> Float[Tensor, ""]:
    """Mean over points of sum_j r̃_ij |z_i - μ̃_j|², with both sub-clusters j of the point's cluster (eq. 4).

    Args:
        z: points.
        log_shares: log r̃, of each point's two sub-clusters.
        means: μ̃ of these.
    """
    squared = (z.unsqueeze(1) - means).square().sum(dim=2)
    return (log_shares.exp() * squared).sum(dim=1).mean()


@in_full_precision
def log_split_ratio(
    counts: Float[Tensor, "k 2"],
    log_likelihoods: Float[Tensor, "k 2"],
    log_likelihoods_together: Float[Tensor, " k"],
    concentration: float,
) -> Float[Tensor, " k"]:
    """log H of a split into two; less than 0 speaks for one cluster. That of the merge of both is its negative (eq. 5).

        H = α Γ(N_1) p(X_1) Γ(N_2) p(X_2) / (Γ(N_1 + N_2) p(X_1, X_2))

    Args:
        counts: N_1 and N_2, 1 or more.
        log_likelihoods: log p(X_1) and log p(X_2), marginal.
        log_likelihoods_together: log p(X_1, X_2).
        concentration: α of the Dirichlet process, above 0.
    """
    apart = (torch.lgamma(counts) + log_likelihoods).sum(dim=1)
    return math.log(concentration) + apart - torch.lgamma(counts.sum(dim=1)) - log_likelihoods_together
