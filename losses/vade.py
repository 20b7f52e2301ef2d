"""Gaussian mixtures with diagonal covariances: densities, responsibilities, and what divides a posterior from them.

Source: Jiang, Zheng, Tan, Tang, Zhou, "Variational Deep Embedding: An Unsupervised and Generative Approach to
Clustering", IJCAI 2017 (VaDE), eqs. 4 to 6, 12 and 16.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from losses.precision import in_full_precision


class Mixture(NamedTuple):
    """p(z) = sum_c pi_c N(z; mu_c, diag sigma_c^2), k components in d dimensions.

    Attributes:
        log_weights: (k,), log π; the weights sum to 1.
        means: (k, d), μ.
        log_variances: (k, d), log σ².
    """

    log_weights: Float[Tensor, " k"]
    means: Float[Tensor, "k d"]
    log_variances: Float[Tensor, "k d"]


@in_full_precision
def component_log_densities(z: Float[Tensor, "n d"], mixture: Mixture) -> Float[Tensor, "n k"]:
    """log N(z_i; μ_c, diag σ_c²) of every point under every component.

        -1/2 sum_j (log 2π + log sigma_cj^2 + (z_ij - mu_cj)^2 / sigma_cj^2)     (eq. 5)

    Args:
        z: points.
        mixture: k components.
    """
    # The difference is taken before squaring: an expanded square cancels badly in float32.
    squared = (z.unsqueeze(1) - mixture.means).square() * torch.exp(-mixture.log_variances)  # (n, k, d)
    return -0.5 * (math.log(2 * math.pi) + mixture.log_variances + squared).sum(dim=2)


@in_full_precision
def log_likelihoods(z: Float[Tensor, "n d"], mixture: Mixture) -> Float[Tensor, " n"]:
    """log p(z_i) = logsumexp_c (log π_c + log N(z_i; μ_c, diag σ_c²))."""
    return torch.logsumexp(mixture.log_weights + component_log_densities(z, mixture), dim=1)


@in_full_precision
def log_responsibilities(z: Float[Tensor, "n d"], mixture: Mixture) -> Float[Tensor, "n k"]:
    """log γ_ic, the posterior p(c | z_i) in logarithms; the rows of γ sum to 1.

    gamma_ic = pi_c N(z_i; mu_c, sigma_c^2) / sum over c' of the same     (eq. 16)
    """
    return torch.log_softmax(mixture.log_weights + component_log_densities(z, mixture), dim=1)


@in_full_precision
def component_divergences(
    mu: Float[Tensor, "n d"], log_variance: Float[Tensor, "n d"], mixture: Mixture
) -> Float[Tensor, "n k"]:
    """KL(N(μ̃_i, diag σ̃_i²) ‖ N(μ_c, diag σ_c²)) of every posterior from every component, in nats, at least 0.

        1/2 sum_j (sigma~_ij^2 / sigma_cj^2 - log(sigma~_ij^2 / sigma_cj^2) - 1 + (mu~_ij - mu_cj)^2 / sigma_cj^2)

    Args:
        mu: μ̃, the posteriors' means.
        log_variance: log σ̃².
        mixture: k components.
    """
    log_ratio = log_variance.unsqueeze(1) - mixture.log_variances  # (n, k, d)
    squared = (mu.unsqueeze(1) - mixture.means).square() * torch.exp(-mixture.log_variances)
    # expm1, since the ratio less 1 is a small difference of near numbers where posterior and component agree.
    return 0.5 * (torch.expm1(log_ratio) - log_ratio + squared).sum(dim=2)


@in_full_precision
def latent_divergence(
    mu: Float[Tensor, "n d"], log_variance: Float[Tensor, "n d"], log_gamma: Float[Tensor, "n k"], mixture: Mixture
) -> Float[Tensor, ""]:
    """Mean over images of sum_c γ_c KL(q(z|x) ‖ p(z|c)), in nats, at least 0: what the posterior costs.

    Without the sign these are the second and the last term of the evidence lower bound in VaDE's eq. 12, whose
    constants cancel because the rows of γ sum to 1.

    Args:
        mu: μ̃, the posteriors' means.
        log_variance: log σ̃².
        log_gamma: log q(c|x).
        mixture: the prior.
    """
    return (log_gamma.exp() * component_divergences(mu, log_variance, mixture)).sum(dim=1).mean()


@in_full_precision
def cluster_divergence(log_gamma: Float[Tensor, "n k"], mixture: Mixture) -> Float[Tensor, ""]:
    """Mean over images of KL(γ ‖ π) = sum_c γ_c log(γ_c / π_c), in nats, at least 0 (eq. 12, the third term).

    Args:
        log_gamma: log q(c|x), finite.
        mixture: the prior, for π.
    """
    return (log_gamma.exp() * (log_gamma - mixture.log_weights)).sum(dim=1).mean()
