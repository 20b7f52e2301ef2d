"""The neighbour graph against brute force in float64."""

from __future__ import annotations

import faiss
import pytest
import torch

from estimators import neighbours
from estimators.base import RepresentationError
from estimators.neighbours import neighbour_graph


def draw(n: int, d: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed))


def brute_force(points: torch.Tensor, base: torch.Tensor, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    squared = (points[:, None].double() - base[None].double()).square().sum(dim=2)
    nearest = squared.sort(dim=1, stable=True)
    return nearest.indices[:, :count], nearest.values[:, :count].sqrt()


@pytest.mark.parametrize(("n", "d", "count"), [(300, 5, 10), (40, 60, 40), (5, 1, 3), (1, 4, 1)])
def test_the_graph_is_that_of_brute_force(n: int, d: int, count: int) -> None:
    points = draw(n, d)
    graph = neighbour_graph(points, count)
    indices, distances = brute_force(points, points, count)
    assert torch.equal(graph.indices, indices)
    assert torch.allclose(graph.distances.double(), distances, rtol=1e-5)
    assert torch.equal(graph.indices[:, 0], torch.arange(n))


def test_of_equal_distances_the_lower_index_comes_first() -> None:
    # On a line: 1 lies between 0 and 2, and so on.
    graph = neighbour_graph(torch.arange(5.0)[:, None], 3)
    assert graph.indices.tolist() == [[0, 1, 2], [1, 0, 2], [2, 1, 3], [3, 2, 4], [4, 3, 2]]
    assert graph.distances.tolist() == [[0, 1, 2], [0, 1, 1], [0, 1, 1], [0, 1, 1], [0, 1, 2]]


def test_a_point_comes_before_its_duplicates() -> None:
    # More duplicates than candidates: the search may well not find the point itself.
    points = torch.zeros(200, 3)
    graph = neighbour_graph(points, 4)
    assert torch.equal(graph.indices[:, 0], torch.arange(200))
    assert (graph.distances == 0).all()
    assert all(len(set(row)) == 4 for row in graph.indices.tolist())


@pytest.fixture
def projecting(monkeypatch):
    """Large problems begin at once, and the true neighbours are sought in 8 dimensions."""
    monkeypatch.setattr(neighbours, "EXACT_WORK", 0)
    monkeypatch.setattr(neighbours, "PROJECTED", 8)
    monkeypatch.setattr(neighbours, "ROWS", 300)


def flat(n: int, d: int) -> torch.Tensor:
    """Points near a plane of 6 dimensions."""
    return draw(n, 6, 1) @ draw(6, d, 2) + 0.1 * draw(n, d, 3)


def test_candidates_in_projection_hold_the_neighbours(projecting) -> None:
    points = flat(1500, 40)
    graph = neighbour_graph(points, 10)
    indices, _ = brute_force(points, points, 10)
    found = (graph.indices[:, :, None] == indices[:, None]).any(dim=1).double().mean()
    assert 0.99 < found < 1  # 1 would mean that the projection was not used
    exact = (points[:, None] - points[graph.indices]).square().sum(dim=2).sqrt()
    assert torch.allclose(graph.distances, exact, atol=1e-5)
    assert (graph.distances.diff(dim=1) >= 0).all()


def test_where_no_projection_holds_the_neighbours_the_search_is_exact(projecting) -> None:
    points = draw(1500, 40)
    indices, _ = brute_force(points, points, 10)
    assert torch.equal(neighbour_graph(points, 10).indices, indices)


@pytest.mark.parametrize("points", [flat(1500, 40), flat(1500, 40).mul(8).round()], ids=["distinct", "with ties"])
def test_any_number_of_threads_gives_the_same_graph(projecting, points: torch.Tensor) -> None:
    before = faiss.omp_get_max_threads()
    try:
        graphs = []
        for threads in (1, 2, 5):
            faiss.omp_set_num_threads(threads)
            graphs.append(neighbour_graph(points, 12))
            assert faiss.omp_get_max_threads() == threads
    finally:
        faiss.omp_set_num_threads(before)
    for other in graphs[1:]:
        assert torch.equal(graphs[0].indices, other.indices)
        assert torch.equal(graphs[0].distances, other.distances)


@pytest.mark.parametrize("factor", [1e-25, 1, 1e18])
def test_neither_scale_nor_place_blurs_neighbours(factor: float) -> None:
    points = draw(100, 4)
    moved = (points.double() * factor).float()
    graph = neighbour_graph(moved, 5)
    indices, distances = brute_force(moved.double() / factor, moved.double() / factor, 5)
    assert torch.equal(graph.indices, indices)
    assert torch.allclose(graph.distances.double() / factor, distances, rtol=1e-4)
    shifted = points.mul(64).round() + 1e6
    assert torch.equal(neighbour_graph(shifted, 5).distances, neighbour_graph(points.mul(64).round(), 5).distances)


def test_a_count_that_cannot_be_is_refused() -> None:
    for count in (0, 4):
        with pytest.raises(RepresentationError, match=f"1 to 3 neighbours each, themselves included; received {count}"):
            neighbour_graph(torch.zeros(3, 2), count)


def test_values_that_are_not_finite_are_refused() -> None:
    for value in (float("nan"), float("inf")):
        with pytest.raises(RepresentationError, match="finite"):
            neighbour_graph(torch.tensor([[0.0], [value]]), 1)
