"""The normal-inverse-Wishart prior of a Gaussian's mean and full covariance: marginal likelihood and estimates.

Source: Murphy, "Conjugate Bayesian analysis of the Gaussian distribution", 2007, section 9; Gelman et al., "Bayesian
Data Analysis", section 3.6.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from losses.precision import in_full_precision


class WishartPrior(NamedTuple):
    """μ | Σ ~ N(m, Σ / κ) and Σ ~ IW(Ψ, ν), in d dimensions.

    Attributes:
        strength: κ, above 0: so many points the prior's mean counts as.
        freedom: ν, above d - 1.
        mean: (d,), m.
        scatter: (d, d), Ψ, positive definite.
    """

    strength: float
    freedom: float
    mean: Float[Tensor, " d"]
    scatter: Float[Tensor, "d d"]


class Moments(NamedTuple):
    """What k groups of points are, as far as Gaussians see it.

    Attributes:
        counts: (k,), how many points, or the sum of their weights; 0 or more.
        means: (k, d); of an empty group any finite numbers.
        scatters: (k, d, d), the sum of (x - mean)(x - mean)ᵀ.
    """

    counts: Float[Tensor, " k"]
    means: Float[Tensor, "k d"]
    scatters: Float[Tensor, "k d d"]


@in_full_precision
def log_marginal_likelihood(moments: Moments, prior: WishartPrior) -> Float[Tensor, " k"]:
    """log p(x_1, …, x_N) of every group under one Gaussian whose parameters are integrated out; 0 for an empty group.

        -N d / 2 log π + log Γ_d(ν* / 2) - log Γ_d(ν / 2) + ν / 2 log|Ψ| - ν* / 2 log|Ψ*| + d / 2 log(κ / κ*)

    with κ* = κ + N, ν* = ν + N and the posterior scatter Ψ*.

    Args:
        moments: of the groups, in float64 where they have thousands of points: the terms are large and nearly cancel.
        prior: of every group.
    """
    d = moments.means.shape[1]
    posterior = moments.scatters + prior.scatter + _from_the_prior_mean(moments, prior)
    freedom = prior.freedom + moments.counts
    begin = torch.full_like(freedom, prior.freedom)
    return (
        -0.5 * d * math.log(math.pi) * moments.counts
        + torch.mvlgamma(freedom / 2, d)
        - torch.mvlgamma(begin / 2, d)
        + 0.5 * prior.freedom * torch.logdet(prior.scatter)
        - 0.5 * freedom * torch.logdet(posterior)
        + 0.5 * d * (math.log(prior.strength) - (prior.strength + moments.counts).log())
    )


@in_full_precision
def posterior_means(moments: Moments, prior: WishartPrior) -> Float[Tensor, "k d"]:
    """(κ m + N mean) / (κ + N): the most probable mean of every group."""
    counts = moments.counts.unsqueeze(1)
    return (prior.strength * prior.mean + counts * moments.means) / (prior.strength + counts)


@in_full_precision
def posterior_covariances(moments: Moments, prior: WishartPrior) -> Float[Tensor, "k d d"]:
    """Ψ* / (ν + N + d + 2): the covariance of the most probable pair of mean and covariance, positive definite."""
    d = moments.means.shape[1]
    posterior = moments.scatters + prior.scatter + _from_the_prior_mean(moments, prior)
    return posterior / (prior.freedom + moments.counts + d + 2).view(-1, 1, 1)


def _from_the_prior_mean(moments: Moments, prior: WishartPrior) -> Float[Tensor, "k d d"]:
    """κ N / (κ + N) (mean - m)(mean - m)ᵀ."""
    away = moments.means - prior.mean
    weight = prior.strength * moments.counts / (prior.strength + moments.counts)
    return weight.view(-1, 1, 1) * away.unsqueeze(2) * away.unsqueeze(1)
