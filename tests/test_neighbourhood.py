"""Walks on the neighbour graph: where they go, how often, and what their edges weigh."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from estimators.neighbours import Neighbours
from methods.registry import METHODS
from methods.resolve import resolve_config
from models.autoencoder import ImageShape
from parts.neighbourhood import BUDGET, Neighbourhood, images_together, jaccard_similarity
from tests.pretend_accelerator import DEVICE, pretend

# 0, 1, 2 and 3 are close to one another; 4 and 5 are a pair beside them, whose next images are 3 and 2.
GRAPH = torch.tensor([[1, 2], [0, 2], [0, 1], [2, 1], [5, 3], [4, 2]])


def neighbourhood(indices: Tensor, power: float) -> Neighbourhood:
    made = Neighbourhood(power)
    made.place(indices)
    return made


def test_every_neighbour_can_be_the_partner() -> None:
    one_step = torch.tensor([0.0, 0.34, 0.67, 0.999999]).unsqueeze(1)
    graph = torch.tensor([[1, 2, 3], [3, 0, 2], [0, 1, 3], [2, 1, 0]])
    assert neighbourhood(graph, 0.0).partners(torch.tensor([1, 0, 1, 1]), one_step).tolist() == [3, 2, 2, 2]


def test_a_walk_goes_from_neighbour_to_neighbour() -> None:
    graph = torch.tensor([[1, 2], [2, 3], [3, 0], [0, 1]])
    # 0 -> 2 (second) -> 3 (first) -> 1 (second); 3 -> 0 -> 1 -> 2
    uniform = torch.tensor([[0.6, 0.1, 0.9], [0.0, 0.2, 0.4]])
    assert neighbourhood(graph, 0.0).partners(torch.tensor([0, 3]), uniform).tolist() == [1, 2]


def test_similarity_is_the_shared_among_all_neighbours() -> None:
    sets = [{image, *row} for image, row in enumerate(GRAPH.tolist())]
    expected = [
        [len(sets[image] & sets[other]) / len(sets[image] | sets[other]) for other in row]
        for image, row in enumerate(GRAPH.tolist())
    ]
    assert expected[0] == [1.0, 1.0]
    assert expected[4] == [0.5, 0.2]  # 4 and 5 are in both, of four in either; 3 alone is in both, of five
    assert expected[3][0] == pytest.approx(0.5)
    assert torch.allclose(jaccard_similarity(GRAPH), torch.tensor(expected))


def ring(n: int, m: int) -> Tensor:
    """m of the next 2m images on a ring."""
    generator = torch.Generator().manual_seed(0)
    return (torch.arange(n).unsqueeze(1) + 1 + torch.rand(n, 2 * m, generator=generator).argsort(dim=1)[:, :m]) % n


@pytest.mark.parametrize("together", [1, 7, 100])
def test_similarity_does_not_depend_on_how_many_images_are_looked_at_together(
    together: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = ring(100, 4)
    monkeypatch.setattr("parts.neighbourhood.BUDGET", together * 24 * 4 * 5)
    assert images_together(4) == together
    sets = [{image, *row} for image, row in enumerate(graph.tolist())]
    shared = [[len(sets[image] & sets[other]) for other in row] for image, row in enumerate(graph.tolist())]
    of_either = [[len(sets[image] | sets[other]) for other in row] for image, row in enumerate(graph.tolist())]
    assert torch.equal(jaccard_similarity(graph), torch.tensor(shared) / torch.tensor(of_either))


class Largest(TorchDispatchMode):
    """The bytes of the largest tensor that is made within it."""

    bytes = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        if isinstance(made, Tensor):
            self.bytes = max(self.bytes, made.numel() * made.element_size())
        return made


def test_memory_does_not_grow_with_the_cube_of_the_neighbours() -> None:
    """All pairs of 1,000 images' neighbours and theirs would take 220 MB here, and 8 GB with 200 neighbours."""
    with Largest() as largest:
        jaccard_similarity(ring(1200, 60))
    assert largest.bytes <= BUDGET
    for m in (20, 200, 1000):
        assert images_together(m) * 24 * m * (m + 1) <= BUDGET


def test_an_images_similarities_cost_the_same_among_any_number_of_images() -> None:
    """But for the graph itself, no tensor has a size that grows with the number of images."""
    sizes = []
    for n in (40_000, 80_000):
        with Largest() as largest:
            jaccard_similarity(torch.arange(n).unsqueeze(1).add(torch.arange(1, 13)).remainder(n))
        sizes.append(largest.bytes)
    assert sizes[0] <= BUDGET // 2
    assert sizes[1] <= max(sizes[0], 80_000 * 13 * 8)


def test_the_graph_is_found_on_the_device_and_its_recall_is_told_and_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    z = torch.randn(60, 5, generator=torch.Generator().manual_seed(0))
    here, there = Neighbourhood(1.0), Neighbourhood(1.0)
    with pretend() as (_, processes):
        here.find(z, 4, processes)
        there.find(z.to(DEVICE), 4, processes)
    assert here.indices is not None
    assert there.indices is not None
    assert there.indices.device.type == "cpu"
    assert torch.equal(here.indices, there.indices)
    assert here.notes == ()
    monkeypatch.setattr(
        "parts.neighbourhood.neighbour_graph",
        lambda *_: Neighbours(torch.zeros(60, 5, dtype=torch.int64), torch.zeros(60, 5), 0.9961),
    )
    with pretend() as (_, processes):
        there.find(z, 4, processes)
    loaded = Neighbourhood(1.0)
    loaded.load_state_dict(there.state_dict())
    assert loaded.notes == ("approximate neighbours, recall 0.996",)
    earlier = {key: value for key, value in here.get_extra_state().items() if key != "recall"}
    loaded.set_extra_state(earlier)
    assert loaded.notes == ()


@pytest.mark.parametrize("name", ["pace", "scan", "temi"])
def test_methods_on_approximate_neighbours_say_so(name: str) -> None:
    method: Any = METHODS[name].build(resolve_config(name, None, [], {}), ImageShape(1, 8, 8))
    method.neighbourhood.recall = 0.9961
    assert "approximate neighbours, recall 0.996" in method.notes


@pytest.mark.parametrize("power", [0.0, 1.0, 2.0])
def test_edges_are_taken_as_often_as_their_power_says(power: float) -> None:
    graph = torch.tensor([[1, 2, 3], [0, 2, 3], [1, 0, 5], [4, 5, 0], [3, 5, 6], [4, 6, 3], [5, 4, 3]])
    weights = jaccard_similarity(graph)[0] ** power
    assert len(set(weights.tolist())) == (1 if power == 0 else 3)
    draws = torch.rand(20000, 1, generator=torch.Generator().manual_seed(1))
    ends = neighbourhood(graph, power).partners(torch.zeros(20000, dtype=torch.int64), draws)
    shares = torch.stack([(ends == other).double().mean() for other in (1, 2, 3)])
    assert torch.allclose(shares, (weights / weights.sum()).double(), atol=0.015)


def test_a_graph_that_takes_the_place_of_another_has_edges_of_its_own() -> None:
    walks = neighbourhood(torch.tensor([[1], [0], [1]]), 1.0)
    first = torch.zeros(1, dtype=torch.int64)
    number = torch.full((1, 1), 0.5)
    assert walks.partners(first, number).tolist() == [1]
    state = walks.get_extra_state()
    walks.place(torch.tensor([[2], [0], [1]]))
    assert walks.partners(first, number).tolist() == [2]
    walks.set_extra_state(state)
    assert walks.partners(first, number).tolist() == [1]
