"""Where VaDE's mixture begins."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from engine.processes import launch
from engine.randomness import seed_all
from estimators.base import Clusterer
from estimators.build import build_clusterer
from losses.vade import latent_divergence
from methods.vade import VaDE, VaDEConfig, posterior_variances, variances_within
from parts.phases import FitPhase
from tests.test_vade import IMAGES, SHAPE, config


def begun(**initialise: Any) -> tuple[VaDE, Clusterer]:
    """A VaDE whose mixture is placed, and the mixture of its μ̃ that EM alone finds."""
    seed_all(0)
    method = VaDE(VaDEConfig.model_validate({**config().model_dump(), "initialise": {"redos": 5, **initialise}}), SHAPE)
    phase = method.phases(IMAGES.images, launch(method.config.runtime))[-2]
    assert isinstance(phase, FitPhase)
    phase.fit()
    alone = build_clusterer(method.config.initialise)
    alone.fit(method.embed(IMAGES.images), 4, method.config.seed)
    return method, alone


def test_posterior_variances_by_hand() -> None:
    gamma = torch.tensor([[1.0, 0.0, 0.0], [0.5, 0.5, 0.0]])
    log_variance = torch.tensor([[1.0, 4.0], [3.0, 1.0]]).log()
    found = posterior_variances(gamma, log_variance)
    expected = torch.tensor([[2.5 / 1.5, 4.5 / 1.5], [3.0, 1.0], [0.0, 0.0]], dtype=torch.float64)
    assert torch.allclose(found, expected)


def test_variances_within_by_hand() -> None:
    gamma = torch.tensor([[1.0, 0.0, 0.0], [0.5, 0.5, 0.0], [0.0, 1.0, 0.0]])
    mu = torch.tensor([[0.0, 3.0], [3.0, 3.0], [6.0, 0.0]])
    # Cluster 0: 0 once and 3 half a time, mean 1, (1 + 4 / 2) / 1.5; cluster 1: 3 half a time and 6 once, mean 5.
    expected = torch.tensor([[2.0, 0.0], [2.0, 2.0], [0.0, 0.0]], dtype=torch.float64)
    assert torch.allclose(variances_within(gamma, mu), expected)


def test_the_bound_is_largest_where_the_mixture_begins() -> None:
    """Given γ, its derivatives by the means, variances and π are 0 there, since EM ends where they are for μ̃."""
    method, alone = begun(covariance="diagonal", tol=1e-10, iterations=1000, floor=1e-12)
    gamma = alone.assign(method.embed(IMAGES.images)).probabilities
    assert gamma is not None
    mu, log_variance = (part.detach() for part in method.backbone.vae.encode(IMAGES.images / 255))
    latent_divergence(mu, log_variance, gamma.clamp_min(1e-30).log(), method.prior.mixture).backward()
    assert method.prior.means.grad is not None
    assert method.prior.log_variances.grad is not None
    # Of the variances' two terms each alone is half of γ's mean.
    assert float(method.prior.log_variances.grad.abs().max()) < 1e-3 * float(gamma.mean(dim=0).min()) / 2
    scale = (0.5 * method.prior.log_variances.detach()).exp()
    assert float((method.prior.means.grad * scale).abs().max()) < 1e-3
    assert torch.allclose(method.prior.mixture.log_weights.exp(), gamma.mean(dim=0), atol=1e-4)


def test_of_ems_own_clusters_the_variances_are_ems() -> None:
    method, alone = begun(covariance="diagonal", tol=1e-10, iterations=1000, floor=1e-12)
    z = method.embed(IMAGES.images)
    gamma = alone.assign(z).probabilities
    assert gamma is not None
    assert torch.allclose(variances_within(gamma, z), alone.arrays["covariances"], rtol=1e-3)


@pytest.mark.parametrize("covariance", ["full", "tied", "spherical"])
def test_other_mixtures_give_diagonal_components(covariance: str) -> None:
    method, alone = begun(covariance=covariance)
    z = method.embed(IMAGES.images)
    gamma = alone.assign(z).probabilities
    assert gamma is not None
    _, log_variance = method.backbone.vae.encode(IMAGES.images / 255)
    mixture = method.prior.mixture
    for cluster in range(4):
        share = gamma[:, cluster].double() / gamma[:, cluster].double().sum()
        spread = z.double() - share @ z.double()
        expected = share @ (spread.square() + log_variance.double().exp())
        assert torch.allclose(mixture.log_variances[cluster].exp().double(), expected, rtol=1e-4)
        assert torch.allclose(mixture.means[cluster].double(), share @ z.double(), atol=1e-3)


def test_the_mixture_can_begin_as_in_the_authors_code() -> None:
    method, alone = begun(covariance="diagonal", posterior_variances=False, weights="uniform")
    mixture = method.prior.mixture
    assert mixture.log_weights.exp().tolist() == pytest.approx([0.25] * 4)
    assert torch.allclose(mixture.means, alone.arrays["means"].float(), atol=1e-5)
    assert torch.allclose(mixture.log_variances.exp(), alone.arrays["covariances"].float(), rtol=1e-4)
