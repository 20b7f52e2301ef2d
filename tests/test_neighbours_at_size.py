"""The neighbour graph on a device, and in cells, against brute force."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import faiss
import numpy as np
import pytest
import torch
from torch import Tensor

from estimators import neighbours, neighbours_on_device
from estimators.base import RepresentationError
from estimators.neighbour_cells import Cells
from estimators.neighbours import FLOOR, Neighbours, neighbour_graph, recall_notes
from estimators.settings import UMAPSettings
from estimators.umap import UMAP
from tests.pretend_accelerator import DEVICE, pretend


def draw(n: int, d: int, seed: int = 0) -> Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed))


def on_device(points: Tensor, count: int) -> Neighbours:
    with pretend():
        return neighbour_graph(points.to(DEVICE), count)


def found_of(graph: Neighbours, points: Tensor) -> float:
    """Share of each point's neighbours that are as near as its true ones."""
    squared = torch.cdist(points.double(), points.double(), compute_mode="donot_use_mm_for_euclid_dist")
    farthest = squared.kthvalue(graph.indices.shape[1], dim=1, keepdim=True).values
    return float((squared.gather(1, graph.indices) <= farthest + 1e-9).double().mean())


SETS: dict[str, Callable[[], Tensor]] = {
    "few": lambda: draw(40, 60),
    "flat": lambda: draw(700, 3),
    "far off": lambda: draw(500, 4) + 1e3,
    "vast": lambda: draw(300, 4) * 1e18,
    "tiny": lambda: draw(300, 4) * 1e-25,
    "float64": lambda: draw(300, 4).double() + 1e3,
    "one": lambda: draw(1, 4),
}


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("block", [2**28, 5000])
def test_a_device_gives_the_graph_of_the_cpu(name: str, block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbours_on_device, "NUMBERS", block)
    points = SETS[name]()
    count = min(10, len(points))
    here, there = neighbour_graph(points, count), on_device(points, count)
    assert there.indices.device.type == there.distances.device.type == "cpu"
    assert there.recall == 1
    assert torch.equal(there.indices, here.indices)
    assert torch.allclose(there.distances, here.distances, rtol=1e-5)


def test_on_a_device_ties_go_by_the_index_and_a_point_comes_before_its_duplicates() -> None:
    assert on_device(torch.arange(5.0)[:, None], 3).indices.tolist() == [
        *([0, 1, 2], [1, 0, 2], [2, 1, 3], [3, 2, 4], [4, 3, 2])
    ]
    graph = on_device(torch.ones(200, 3), 4)
    assert torch.equal(graph.indices[:, 0], torch.arange(200))
    assert (graph.distances == 0).all()
    assert all(len(set(row)) == 4 for row in graph.indices.tolist())


def test_on_a_device_the_host_waits_for_the_graph_alone() -> None:
    waits = []
    for n in (300, 900):
        with pretend() as (accelerator, _), pytest.MonkeyPatch.context() as patch:
            patch.setattr(neighbours_on_device, "NUMBERS", 2**16)  # several blocks, more for more points
            points = draw(n, 4).to(DEVICE)
            before = accelerator.waits.total()
            neighbour_graph(points, 5)
            waits.append(accelerator.waits.total() - before)
    assert waits[0] == waits[1]


def test_on_a_device_products_are_float32_and_the_run_keeps_its_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    before = torch.backends.cuda.matmul.allow_tf32
    seen = []
    product = torch.addmm
    monkeypatch.setattr(
        torch, "addmm", lambda *a, **k: (seen.append(torch.backends.cuda.matmul.allow_tf32), product(*a, **k))[1]
    )
    try:
        torch.backends.cuda.matmul.allow_tf32 = True
        on_device(draw(50, 3), 4)
        assert seen == [False]
        assert torch.backends.cuda.matmul.allow_tf32
    finally:
        torch.backends.cuda.matmul.allow_tf32 = before


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_on_a_device_values_that_are_not_finite_are_refused(value: float) -> None:
    with pytest.raises(RepresentationError, match="finite"):
        on_device(torch.tensor([[0.0], [value]]), 1)


@pytest.fixture
def in_cells(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cells are searched where there are 1,000 points or more."""
    monkeypatch.setattr(neighbours, "EXACT_POINTS", 999)


@pytest.mark.parametrize("dimensions", [2, 5])
def test_cells_find_the_neighbours_they_promise(in_cells: None, dimensions: int) -> None:
    points = draw(4000, dimensions)
    graph = neighbour_graph(points, 15)
    assert FLOOR <= graph.recall <= 1
    # The recall of 512 points, each with 15 neighbours, errs by a few thousandths.
    assert found_of(graph, points) == pytest.approx(graph.recall, abs=0.005)
    assert torch.equal(graph.indices[:, 0], torch.arange(4000))
    assert (graph.distances.diff(dim=1) >= 0).all()
    exact = (points[:, None] - points[graph.indices]).square().sum(dim=2).sqrt()
    assert torch.allclose(graph.distances, exact, atol=1e-5)


def test_cells_were_searched_and_not_all_points(in_cells: None, monkeypatch: pytest.MonkeyPatch) -> None:
    probed: list[int] = []
    search = Cells.search
    monkeypatch.setattr(Cells, "search", lambda self, c, p, rows: (probed.append(p), search(self, c, p, rows))[1])
    graph = neighbour_graph(draw(4000, 4), 15)
    assert graph.recall < 1
    assert probed == sorted(probed)
    assert len(probed) >= 3  # the sample, and blocks of all points with as many cells as did for it
    assert probed.count(probed[-1]) >= 3


def test_cells_of_a_projection_are_searched_where_dimensions_are_many(
    in_cells: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(neighbours, "EXACT_WORK", 0)
    monkeypatch.setattr(neighbours, "PROJECTED", 8)
    points = draw(3000, 6, 1) @ draw(6, 40, 2) + 0.02 * draw(3000, 40, 3)
    graph = neighbour_graph(points, 10)
    assert FLOOR <= graph.recall < 1
    assert found_of(graph, points) == pytest.approx(graph.recall, abs=0.005)


def test_where_cells_do_not_hold_the_neighbours_the_search_is_exact(in_cells: None) -> None:
    points = draw(1500, 60)  # no cell is much nearer than another
    graph = neighbour_graph(points, 10)
    assert graph.recall == 1
    assert found_of(graph, points) == 1


def test_cells_of_duplicates_and_of_equal_points(in_cells: None) -> None:
    points = draw(600, 3).repeat(3, 1)
    graph = neighbour_graph(points, 5)
    assert torch.equal(graph.indices[:, 0], torch.arange(1800))
    assert (graph.distances[:, :3] == 0).double().mean() > 0.99
    assert found_of(graph, points) >= FLOOR
    equal = neighbour_graph(torch.ones(1200, 3), 5)
    assert torch.equal(equal.indices[:, 0], torch.arange(1200))
    assert (equal.distances == 0).all()
    assert all(len(set(row)) == 5 for row in equal.indices.tolist())


def test_more_neighbours_than_the_cells_hold(in_cells: None) -> None:
    points = draw(1000, 2)
    graph = neighbour_graph(points, 500)
    assert all(len(set(row)) == 500 for row in graph.indices.tolist())
    assert int(graph.indices.min()) == 0
    assert found_of(graph, points) >= FLOOR


def test_any_number_of_threads_gives_the_same_cells(in_cells: None) -> None:
    points = draw(3000, 4)
    before = faiss.omp_get_max_threads()
    graphs = []
    try:
        for threads in (1, 2, 5):
            faiss.omp_set_num_threads(threads)
            graphs.append(neighbour_graph(points, 12))
    finally:
        faiss.omp_set_num_threads(before)
    assert graphs[0].recall < 1
    for other in graphs[1:]:
        assert torch.equal(graphs[0].indices, other.indices)
        assert torch.equal(graphs[0].distances, other.distances)
        assert graphs[0].recall == other.recall


def test_the_cells_hold_every_point_once() -> None:
    vectors = draw(900, 3).numpy()
    with ThreadPoolExecutor(1) as pool:
        cells = Cells(vectors, [slice(0, 500), slice(500, 900)], pool)
    assert cells.count == 120
    everything = cells.search(900, cells.count, np.array([5, 7]))
    assert all(sorted(row) == list(range(900)) for row in everything.tolist())
    assert list(cells.probes()) == [8, 10, 12, 15]


def test_umap_says_the_recall_and_keeps_it(in_cells: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("estimators.umap.lay_out", lambda points, *_: points[:, :2].clone())
    points = draw(1200, 3)
    umap = UMAP(UMAPSettings(neighbours=10, components=2, epochs=2))
    umap.fit(points, 0)
    recall = neighbour_graph(points, 10).recall
    assert recall < 1
    assert umap.notes[-1] == recall_notes(recall)[0] == f"approximate neighbours, recall {recall:.3f}"
    loaded = UMAP(umap.settings)
    loaded.load_state_dict(umap.state_dict())
    assert loaded.notes == umap.notes
