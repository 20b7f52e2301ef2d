"""The terms of the evidence lower bound, against torch's distributions and numbers worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.distributions import Bernoulli, Normal, kl_divergence

from losses.gaussian_kl import gaussian_kl
from losses.reconstruction import bernoulli_nll, gaussian_nll


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_gaussian_kl_by_hand() -> None:
    mu = torch.tensor([[1.0, 0.0], [0.0, 0.0]])
    log_variance = torch.tensor([[0.0, math.log(4.0)], [0.0, 0.0]])
    # First image: 1/2 (1) + 1/2 (4 - log 4 - 1); second: the prior itself.
    assert gaussian_kl(mu, log_variance).item() == pytest.approx((0.5 + 0.5 * (3 - math.log(4))) / 2)


def test_gaussian_kl_is_that_of_torch() -> None:
    mu, log_variance = drawn(7, 5), drawn(7, 5, seed=1)
    posterior = Normal(mu, (0.5 * log_variance).exp())
    prior = Normal(torch.zeros_like(mu), torch.ones_like(mu))
    expected = kl_divergence(posterior, prior).sum(dim=1).mean()
    assert gaussian_kl(mu, log_variance).item() == pytest.approx(expected.item(), rel=1e-12)


@given(st.floats(-6, 6), st.floats(-20, 20))
def test_gaussian_kl_is_never_negative(mu: float, log_variance: float) -> None:
    assert gaussian_kl(torch.tensor([[mu]]), torch.tensor([[log_variance]])).item() >= -1e-9  # rounding


def test_gaussian_kl_of_an_almost_unused_dimension_is_not_lost() -> None:
    """1/2 (e^v - v - 1) = v²/4 for small v; e^v alone is rounded to 1 in float32."""
    v = torch.tensor([[1e-5]])
    assert gaussian_kl(torch.zeros(1, 1), v).item() == pytest.approx(1e-10 / 4, rel=0.1)


def test_bernoulli_nll_is_that_of_torch_on_grey_pixels() -> None:
    logits, x = 3 * drawn(4, 1, 5, 6), torch.rand(4, 1, 5, 6, generator=torch.Generator().manual_seed(2)).double()
    expected = -Bernoulli(logits=logits, validate_args=False).log_prob(x).flatten(1).sum(dim=1).mean()
    assert bernoulli_nll(logits, x).item() == pytest.approx(expected.item(), rel=1e-12)


def test_bernoulli_nll_by_hand() -> None:
    # Means 1/2 and 3/4 of pixels 1 and 0, in one image of two pixels; the second image is certain and right.
    logits = torch.tensor([[[[0.0, math.log(3.0)]]], [[[200.0, -200.0]]]])
    x = torch.tensor([[[[1.0, 0.0]]], [[[1.0, 0.0]]]])
    assert bernoulli_nll(logits, x).item() == pytest.approx((math.log(2) + math.log(4)) / 2)


def test_bernoulli_nll_of_a_certain_mistake_is_finite() -> None:
    assert bernoulli_nll(torch.full((1, 1, 1, 1), 1e4), torch.zeros(1, 1, 1, 1)).item() == 1e4


def test_gaussian_nll_is_that_of_torch() -> None:
    mean, x = drawn(4, 2, 5, 6), drawn(4, 2, 5, 6, seed=1)
    expected = -Normal(mean, torch.ones_like(mean)).log_prob(x).flatten(1).sum(dim=1).mean()
    assert gaussian_nll(mean, x).item() == pytest.approx(expected.item(), rel=1e-12)


def test_gradients_are_those_of_finite_differences() -> None:
    x = torch.rand(3, 4, generator=torch.Generator().manual_seed(3)).double()
    first, second = drawn(3, 4).requires_grad_(), drawn(3, 4, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(gaussian_kl, (first, second))
    assert torch.autograd.gradcheck(lambda logits: bernoulli_nll(logits, x), (first,))
    assert torch.autograd.gradcheck(lambda mean: gaussian_nll(mean, x), (first,))
