"""The losses of known pairs, against numbers worked out by hand and where they are the most wrong."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from losses.known_pairs import link_surprise, linked_distance


def test_distances_by_hand() -> None:
    # |(0, 0) - (3, 4)|² = 25 together, |(1, 1) - (1, 3)|² = 4 apart: (25 - 4) / 2.
    first = torch.tensor([[0.0, 0.0], [1.0, 1.0]])
    second = torch.tensor([[3.0, 4.0], [1.0, 3.0]])
    assert linked_distance(first, second, torch.tensor([True, False])).item() == pytest.approx(10.5)


def test_the_gradient_draws_together_and_apart() -> None:
    first = torch.tensor([[0.0], [0.0]], requires_grad=True)
    linked_distance(first, torch.tensor([[1.0], [1.0]]), torch.tensor([True, False])).backward()
    assert first.grad is not None
    assert first.grad.tolist() == [[-1.0], [1.0]]  # a step against it: towards the 1, and away from it


def test_surprise_by_hand() -> None:
    # s = .5·.2 + .3·.2 + .2·.6 = .28 and .5·.2 + .3·.7 + .2·.1 = .33.
    p = torch.tensor([[0.5, 0.3, 0.2], [0.5, 0.3, 0.2]])
    q = torch.tensor([[0.2, 0.2, 0.6], [0.2, 0.7, 0.1]])
    found = link_surprise(p.log(), q.log(), torch.tensor([True, False]))
    assert found.item() == pytest.approx(-(math.log(0.28) + math.log(0.67)) / 2, rel=1e-6)


def test_every_head_has_its_own() -> None:
    p = torch.tensor([[[0.9, 0.1]], [[0.4, 0.6]]]).log()
    q = torch.tensor([[[0.9, 0.1]], [[0.5, 0.5]]]).log()
    together = link_surprise(p, q, torch.tensor([True]))
    assert together.tolist() == pytest.approx([-math.log(0.82), -math.log(0.5)])


@given(n=st.integers(1, 8), k=st.integers(2, 6), seed=st.integers(0, 99))
def test_surprise_is_symmetric_and_the_log_of_a_probability(n: int, k: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    p, q = (torch.randn(2, n, k, generator=generator, dtype=torch.float64) * 4).log_softmax(dim=-1)
    must = torch.rand(n, generator=generator) < 0.5
    found = link_surprise(p, q, must)
    together = (p + q).exp().sum(dim=1)
    assert found.item() == pytest.approx(-torch.where(must, together, 1 - together).log().mean().item())
    assert found.item() == pytest.approx(link_surprise(q, p, must).item())


def test_where_both_are_surely_of_one_cluster_a_cannot_link_has_a_gradient() -> None:
    logits = torch.tensor([[60.0, 0.0, 0.0]], requires_grad=True)
    log_p = logits.log_softmax(dim=1)
    assert log_p.exp()[0, 0].item() == 1.0  # the others are lost beside it
    loss = link_surprise(log_p, log_p.detach(), torch.tensor([False]))
    # 1 - s = 2·2e⁻⁶⁰ up to e⁻¹²⁰, since either image may be the one of another cluster.
    assert loss.item() == pytest.approx(60 - math.log(4), rel=1e-6)
    loss.backward()
    assert logits.grad is not None
    assert logits.grad[0, 0].item() == pytest.approx(0.5, rel=1e-5)  # half of what the pair as a whole has


def test_it_is_zero_where_all_is_sure_and_right() -> None:
    sure = torch.tensor([[50.0, 0.0], [0.0, 50.0]]).log_softmax(dim=1)
    assert link_surprise(sure, sure, torch.tensor([True, True])).item() == pytest.approx(0, abs=1e-6)
    assert link_surprise(sure, sure.flip(0), torch.tensor([False, False])).item() == pytest.approx(0, abs=1e-6)
