"""Selection of heads: who stays, whose clusters a child has, and that it finds what restarts miss."""

from __future__ import annotations

import torch
from torch import Tensor

from engine.randomness import seed_all
from models.cluster_heads import ClusterHeads
from parts.head_search import LEAP, different, evolve, recombined, split_and_drop


def one_hot(labels: list[int], k: int) -> Tensor:
    return torch.nn.functional.one_hot(torch.tensor(labels), k).float()


def test_the_best_heads_stay_and_of_like_ones_the_best_alone() -> None:
    base = torch.arange(200) % 4
    renamed = (base + 1) % 4
    other = torch.arange(200) // 50
    third = torch.zeros(200, dtype=torch.int64)
    labels = torch.stack([base, renamed, other, third])
    assert different(labels, torch.tensor([0.2, 0.1, 0.3, 0.4]), 4) == [1, 2, 3]
    assert different(labels, torch.tensor([0.2, 0.1, 0.3, 0.4]), 2) == [1, 2]


def test_a_child_has_every_cluster_from_either_parent_matched_by_the_points_they_share() -> None:
    first = one_hot([0, 0, 1, 1, 2, 2], 3)
    second = one_hot([2, 2, 0, 0, 1, 1], 3)
    partner = [2, 0, 1]
    seed_all(0)
    seen = torch.stack([recombined(first, second) for _ in range(40)])
    for cluster in range(3):
        assert set(seen[:, cluster].tolist()) == {-1, partner[cluster]}


def test_a_split_cluster_gives_the_dropped_ones_place_to_its_half() -> None:
    seed_all(0)
    weight, bias = torch.randn(7, 4), torch.randn(4)
    child, child_bias = split_and_drop(weight, bias)
    changed = [c for c in range(4) if not torch.equal(child[:, c], weight[:, c])]
    assert len(changed) == 2
    halves = child[:, changed].mean(dim=1)
    (parted,) = [c for c in changed if torch.allclose(halves, weight[:, c], atol=1e-5)]
    assert torch.allclose((child[:, parted] - weight[:, parted]).norm(), LEAP * weight[:, parted].norm())
    assert child_bias[changed].tolist() == [bias[parted].item()] * 2


def test_survivors_are_left_as_they_are_and_others_become_their_children() -> None:
    seed_all(0)
    heads = ClusterHeads(6, 5, 3, 4.0)
    z = torch.nn.functional.normalize(torch.randn(100, 5), dim=1)
    before = heads.weight.detach().clone()
    losses = torch.tensor([0.5, 0.1, 0.9, 0.2, 0.8, 0.7])
    evolve(heads, losses, z, 2, 0.0)
    assert torch.equal(heads.weight[1], before[1])
    assert torch.equal(heads.weight[3], before[3])
    parents = torch.cat([before[1], before[3]], dim=1)
    for head in (0, 2, 4, 5):
        for column in heads.weight[head].detach().T:
            assert bool((column == parents.T).all(dim=1).any())


def test_with_one_survivor_every_child_is_a_mutation_of_it() -> None:
    seed_all(0)
    heads = ClusterHeads(4, 5, 3, 4.0)
    z = torch.nn.functional.normalize(torch.randn(50, 5), dim=1)
    before = heads.weight.detach().clone()
    evolve(heads, torch.tensor([0.4, 0.3, 0.2, 0.1]), z, 1, 0.0)
    for head in range(3):
        same = [torch.equal(heads.weight[head][:, c], before[3][:, c]) for c in range(3)]
        assert same.count(True) == 1
