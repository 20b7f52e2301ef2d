"""The clustering loss of neighbours, by hand and by finite differences."""

from __future__ import annotations

import math

import pytest
import torch

from losses.scan import disagreement, marginal_divergence
from models.cluster_heads import ClusterHeads


def log_probabilities(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.log_softmax(torch.randn(*shape, generator=torch.Generator().manual_seed(seed)), dim=-1)


def test_disagreement_by_hand() -> None:
    p = torch.tensor([[0.9, 0.1], [0.5, 0.5]])
    q = torch.tensor([[0.8, 0.2], [0.3, 0.7]])
    expected = -(math.log(0.9 * 0.8 + 0.1 * 0.2) + math.log(0.5 * 0.3 + 0.5 * 0.7)) / 2
    assert disagreement(p.log(), q.log()).item() == pytest.approx(expected, rel=1e-5)


def test_sure_pairs_of_one_cluster_cost_nothing() -> None:
    sure = torch.tensor([[50.0, 0.0], [0.0, 50.0]]).log_softmax(dim=1)
    assert disagreement(sure, sure).item() == pytest.approx(0.0, abs=1e-6)
    assert disagreement(sure, sure.flip(0)).item() > 40


def test_the_marginal_is_compared_with_the_prior_by_hand() -> None:
    p = torch.tensor([[0.9, 0.1], [0.5, 0.5]])  # mean 0.7, 0.3
    expected = 0.7 * math.log(0.7 / 0.6) + 0.3 * math.log(0.3 / 0.4)
    assert marginal_divergence(p.mean(dim=0), torch.tensor([0.6, 0.4])).item() == pytest.approx(expected, rel=1e-5)
    assert marginal_divergence(p.mean(dim=0), torch.tensor([0.7, 0.3])).item() == pytest.approx(0.0, abs=1e-7)


def test_under_the_uniform_prior_it_is_log_k_less_the_entropy() -> None:
    log_p = log_probabilities(40, 5)
    mean = log_p.exp().mean(dim=0)
    entropy = torch.distributions.Categorical(probs=mean).entropy()
    uniform = torch.full((5,), 0.2)
    assert marginal_divergence(mean, uniform).item() == pytest.approx(math.log(5) - entropy.item(), rel=1e-4)


def test_heads_are_scored_each_for_itself() -> None:
    first, second = log_probabilities(3, 8, 4), log_probabilities(3, 8, 4, seed=1)
    together = disagreement(first, second)
    assert together.shape == (3,)
    for head in range(3):
        assert together[head] == disagreement(first[head], second[head])
        uniform = torch.full((4,), 0.25)
        sizes = first.exp().mean(dim=1)
        assert torch.allclose(marginal_divergence(sizes, uniform)[head], marginal_divergence(sizes[head], uniform))


def test_a_cluster_without_images_has_a_finite_gradient() -> None:
    """x log x ends at 0, steeply: the size that is missing is wanted, but by no infinite pull."""
    mean = torch.tensor([1.0, 0.0], requires_grad=True)
    loss = marginal_divergence(mean, torch.tensor([0.5, 0.5]))
    loss.backward()
    assert loss.item() == pytest.approx(math.log(2))
    assert mean.grad is not None
    assert mean.grad[0] == pytest.approx(1 + math.log(2))
    assert -100 < mean.grad[1] < -80  # the logarithm of the smallest float, for that of 0


def test_gradients_by_finite_differences() -> None:
    logits = torch.randn(2, 5, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64, requires_grad=True)
    prior = torch.tensor([0.2, 0.3, 0.5], dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda x: disagreement(x.log_softmax(-1), x.flip(1).log_softmax(-1)), (logits,))
    assert torch.autograd.gradcheck(lambda x: marginal_divergence(x.softmax(-1).mean(-2), prior), (logits,))


def test_heads_are_linear_classifiers_one_by_one() -> None:
    torch.manual_seed(0)
    heads = ClusterHeads(3, 6, 4, scale=2.0)
    z = torch.nn.functional.normalize(torch.randn(7, 6), dim=1)
    log_p = heads(z)
    assert log_p.shape == (3, 7, 4)
    for head in range(3):
        alone = (z @ heads.weight[head] + heads.bias[head]).softmax(dim=1)
        assert torch.allclose(log_p[head].exp(), alone, atol=1e-6)
    many = ClusterHeads(50, 6, 4, scale=2.0)
    assert (z @ many.weight).std().item() == pytest.approx(2.0, rel=0.1)
