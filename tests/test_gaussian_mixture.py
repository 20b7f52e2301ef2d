"""Mixture densities, responsibilities and VaDE's divergences, against torch.distributions, Monte Carlo and by hand."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal, kl_divergence

from losses.vade import (
    Mixture,
    cluster_divergence,
    component_divergences,
    component_log_densities,
    latent_divergence,
    log_likelihoods,
    log_responsibilities,
)
from models.mixture_prior import SMALLEST_WEIGHT, MixturePrior

K, D = 4, 3


def drawn(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def mixture() -> Mixture:
    return Mixture(drawn(K, seed=0).log_softmax(dim=0), drawn(K, D, seed=1), drawn(K, D, seed=2))


def components() -> Independent:
    made = mixture()
    return Independent(Normal(made.means, (made.log_variances / 2).exp()), 1)


def reference() -> MixtureSameFamily:
    return MixtureSameFamily(Categorical(logits=mixture().log_weights), components())


def test_densities_are_those_of_torch() -> None:
    z = drawn(7, D, seed=3)
    expected = components().log_prob(z.unsqueeze(1))
    assert torch.allclose(component_log_densities(z, mixture()), expected, rtol=1e-12)
    assert torch.allclose(log_likelihoods(z, mixture()), reference().log_prob(z), rtol=1e-12)


def test_density_by_hand() -> None:
    # N(1; 0, 4) · N(2; 2, 1) = 1/(2 √2π) e^(-1/8) · 1/√2π
    made = Mixture(torch.zeros(1), torch.tensor([[0.0, 2.0]]), torch.tensor([[math.log(4.0), 0.0]]))
    found = component_log_densities(torch.tensor([[1.0, 2.0]]), made).item()
    assert found == pytest.approx(-math.log(2 * 2 * math.pi) - 1 / 8, rel=1e-6)


def test_responsibilities_are_bayes_rule() -> None:
    z = drawn(7, D, seed=3)
    joint = mixture().log_weights.exp() * components().log_prob(z.unsqueeze(1)).exp()
    assert torch.allclose(log_responsibilities(z, mixture()).exp(), joint / joint.sum(dim=1, keepdim=True), rtol=1e-12)


def test_responsibilities_by_hand() -> None:
    # Equal weights and variances; along the first axis at distances 0 and 2, so that γ is as 1 to e^(-4/2).
    made = Mixture(torch.tensor([0.5, 0.5]).log(), torch.tensor([[0.0, 0.0], [2.0, 0.0]]), torch.zeros(2, 2))
    gamma = log_responsibilities(torch.tensor([[0.0, 5.0]]), made).exp()
    assert gamma[0].tolist() == pytest.approx([1 / (1 + math.exp(-2)), math.exp(-2) / (1 + math.exp(-2))], rel=1e-5)


@given(st.floats(-1e4, 1e4), st.floats(-9, 9))
def test_a_far_off_point_has_a_proper_row(place: float, log_variance: float) -> None:
    """Its densities are all 0 in float32, and the ratio of their exponentials would be 0 / 0."""
    made = Mixture(
        torch.tensor([0.3, 0.7]).log(), torch.tensor([[0.0], [1.0]]), torch.tensor([[log_variance], [log_variance]])
    )
    log_gamma = log_responsibilities(torch.tensor([[place]]), made)
    assert bool(log_gamma.isfinite().all())
    assert log_gamma.exp().sum().item() == pytest.approx(1.0, abs=1e-5)
    assert cluster_divergence(log_gamma, made).isfinite()


def test_divergences_of_components_are_those_of_torch() -> None:
    mu, log_variance = drawn(5, D, seed=4), drawn(5, D, seed=5)
    posterior = Independent(Normal(mu.unsqueeze(1), (log_variance / 2).exp().unsqueeze(1)), 1)
    expected = kl_divergence(posterior.expand((5, K)), components().expand((5, K)))
    assert torch.allclose(component_divergences(mu, log_variance, mixture()), expected, rtol=1e-10)


def test_a_small_divergence_is_not_lost_in_float32() -> None:
    """1/2 (e^v - v - 1) = v²/4 for small v; e^v alone is rounded to 1."""
    made = Mixture(torch.zeros(1), torch.zeros(1, 1), torch.zeros(1, 1))
    found = component_divergences(torch.zeros(1, 1), torch.tensor([[1e-5]]), made)
    assert found.item() == pytest.approx(1e-10 / 4, rel=0.1)


def test_both_divergences_are_the_expected_log_ratio() -> None:
    """E under q(z|x) q(c|x) of log q(z|x) q(c|x) / p(c) p(z|c), by Monte Carlo: all constants are in."""
    mu, log_variance = drawn(3, D, seed=4), drawn(3, D, seed=5) - 1
    log_gamma = (0.5 * drawn(3, K, seed=6)).log_softmax(dim=1)
    torch.manual_seed(0)
    posterior = Independent(Normal(mu, (log_variance / 2).exp()), 1)
    cluster = Categorical(logits=log_gamma)
    z, c = posterior.sample((400_000,)), cluster.sample((400_000,))
    log_p = Independent(Normal(mixture().means[c], (mixture().log_variances[c] / 2).exp()), 1).log_prob(z)
    ratios = posterior.log_prob(z) + cluster.log_prob(c) - Categorical(logits=mixture().log_weights).log_prob(c) - log_p
    per_draw = ratios.mean(dim=1)
    error = per_draw.std().item() / math.sqrt(len(per_draw))
    found = latent_divergence(mu, log_variance, log_gamma, mixture()) + cluster_divergence(log_gamma, mixture())
    assert abs(found.item() - per_draw.mean().item()) < 5 * error
    assert error < 0.01 * found.item()


def test_they_are_the_terms_of_equation_12() -> None:
    mu, log_variance = drawn(1, D, seed=4), drawn(1, D, seed=5)
    log_gamma = drawn(1, K, seed=6).log_softmax(dim=1)
    made, gamma = mixture(), log_gamma.exp()
    bound = 0.0
    for c in range(K):
        inner = 0.0
        for j in range(D):
            variance = math.exp(made.log_variances[c, j])
            distance = float(mu[0, j] - made.means[c, j]) ** 2
            inner += math.log(variance) + math.exp(log_variance[0, j]) / variance + distance / variance
        bound -= 0.5 * float(gamma[0, c]) * inner
        bound += float(gamma[0, c]) * math.log(math.exp(made.log_weights[c]) / float(gamma[0, c]))
    bound += 0.5 * sum(1 + float(log_variance[0, j]) for j in range(D))
    found = latent_divergence(mu, log_variance, log_gamma, made) + cluster_divergence(log_gamma, made)
    assert found.item() == pytest.approx(-bound, rel=1e-12)


@given(st.integers(0, 10_000))
def test_neither_divergence_is_negative(seed: int) -> None:
    log_gamma = (3 * drawn(2, K, seed=seed)).log_softmax(dim=1)
    mu, log_variance = 3 * drawn(2, D, seed=seed + 1), 3 * drawn(2, D, seed=seed + 2)
    assert latent_divergence(mu, log_variance, log_gamma, mixture()).item() >= 0
    assert cluster_divergence(log_gamma, mixture()).item() >= -1e-12


def test_the_divergence_of_the_prior_itself_is_zero() -> None:
    made = mixture()
    log_gamma = made.log_weights.expand(2, K)
    assert cluster_divergence(log_gamma, made).item() == pytest.approx(0, abs=1e-12)
    alone = torch.full((1, K), -1e4, dtype=torch.float64)
    alone[0, 2] = 0.0
    assert latent_divergence(made.means[2:3], made.log_variances[2:3], alone, made).item() == pytest.approx(
        0, abs=1e-12
    )


def test_gradients_are_those_of_finite_differences() -> None:
    mu, log_variance = drawn(2, D, seed=4).requires_grad_(), drawn(2, D, seed=5).requires_grad_()
    logits, means, log_variances = (tensor.requires_grad_() for tensor in mixture())

    def bound(mu: Tensor, log_variance: Tensor, logits: Tensor, means: Tensor, log_variances: Tensor) -> Tensor:
        made = Mixture(logits.log_softmax(dim=0), means, log_variances)
        log_gamma = log_responsibilities(mu + 0.3 * (log_variance / 2).exp(), made)
        likelihood = log_likelihoods(mu, made).mean()
        return latent_divergence(mu, log_variance, log_gamma, made) + cluster_divergence(log_gamma, made) + likelihood

    assert torch.autograd.gradcheck(bound, (mu, log_variance, logits, means, log_variances))


def test_a_placed_prior_is_that_mixture() -> None:
    prior = MixturePrior(K, D, floor=1e-6)
    made = mixture()
    prior.place(made.log_weights.exp(), made.means, made.log_variances.exp())
    z = drawn(7, D, seed=3)
    assert torch.allclose(prior.log_likelihoods(z.float()).double(), reference().log_prob(z), rtol=1e-5)
    assert torch.allclose(prior(z.float()).double(), log_responsibilities(z, made).exp(), atol=1e-5)
    assert prior.mixture.log_weights.exp().sum().item() == pytest.approx(1.0, abs=1e-6)


def test_placed_variances_and_weights_have_floors() -> None:
    prior = MixturePrior(2, 1, floor=0.01)
    prior.place(torch.tensor([1.0, 0.0]), torch.zeros(2, 1), torch.tensor([[1e-9], [0.5]]))
    assert prior.log_variances.exp().flatten().tolist() == pytest.approx([0.01, 0.5], rel=1e-5)
    weights = prior.mixture.log_weights.exp().tolist()
    assert weights == pytest.approx([1.0, SMALLEST_WEIGHT], rel=1e-5)


def test_a_variance_at_the_floor_can_rise_again() -> None:
    prior = MixturePrior(1, 1, floor=0.01)
    prior.place(torch.ones(1), torch.zeros(1, 1), torch.full((1, 1), 0.01))
    with torch.no_grad():
        prior.log_variances.sub_(3.0)
    prior.raise_to_floor()
    assert prior.log_variances.exp().item() == pytest.approx(0.01, rel=1e-5)
    prior.log_likelihoods(torch.tensor([[1.0]])).sum().backward()  # a point at ten standard deviations
    assert prior.log_variances.grad is not None
    assert prior.log_variances.grad.item() == pytest.approx((1 / 0.01 - 1) / 2, rel=1e-4)
