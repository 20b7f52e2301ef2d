"""UMAP: what is ours of it. Fits are few and small, since its first one compiles for seconds."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse
import torch

from estimators.base import RepresentationError
from estimators.settings import UMAPSettings
from estimators.umap import UMAP
from estimators.umap_layout import initial_places

pytestmark = pytest.mark.umap

SETTINGS = UMAPSettings(components=3, neighbours=8, epochs=30)


def blobs(n: int = 120) -> torch.Tensor:
    """Points k / 255 in three far groups, with two duplicates of the first point."""
    generator = torch.Generator().manual_seed(0)
    points = 30 + 80 * (torch.arange(n) % 3)[:, None] + 8 * torch.randn(n, 6, generator=generator)
    points[[50, 60]] = points[0].clone()
    return points.clamp(0, 255).round() / 255


def fit(points: torch.Tensor, settings: UMAPSettings = SETTINGS, seed: int = 0) -> UMAP:
    umap = UMAP(settings)
    umap.fit(points, seed)
    return umap


@pytest.fixture(scope="module")
def fitted() -> UMAP:
    return fit(blobs())


def test_groups_stay_together(fitted: UMAP) -> None:
    places = fitted.transform(blobs())
    assert places.shape == (120, 3)
    assert places.dtype == torch.float32
    group = torch.arange(120) % 3
    group[[50, 60]] = 0
    apart = torch.cdist(places, places)
    apart.fill_diagonal_(torch.inf)
    assert (group[apart.argmin(dim=1)] == group).all()


def test_training_points_keep_their_places(fitted: UMAP) -> None:
    points, places = blobs(), fitted.transform(blobs())
    assert torch.equal(fitted.arrays["places"], places[[i for i in range(120) if i not in (50, 60)]])
    assert torch.equal(places[0], places[50])
    assert torch.equal(torch.cat([fitted.transform(part) for part in points.split(7)]), places)


def test_new_points_lie_by_their_neighbours_in_any_batch(fitted: UMAP) -> None:
    new = blobs()[:30] + 0.003
    together = fitted.transform(new)
    assert torch.equal(torch.cat([fitted.transform(point[None]) for point in new]), together)
    nearest = torch.cdist(new.double(), blobs().double()).argmin(dim=1)
    own = (together - fitted.transform(blobs())[nearest]).norm(dim=1)
    assert own.median() < 0.1 * torch.pdist(fitted.arrays["places"]).median()


def test_same_seed_same_places_whatever_the_global_state(fitted: UMAP) -> None:
    np.random.seed(5)  # noqa: NPY002
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    again = fit(blobs())
    assert torch.equal(again.arrays["places"], fitted.arrays["places"])
    assert (np.random.get_state()[1] == before).all()  # noqa: NPY002
    assert not torch.equal(fit(blobs(), seed=1).arrays["places"], fitted.arrays["places"])


def test_state_survives_a_file(fitted: UMAP, tmp_path) -> None:
    torch.save(fitted.state_dict(), tmp_path / "umap.pt")
    other = UMAP(SETTINGS)
    assert not other.is_fitted
    other.load_state_dict(torch.load(tmp_path / "umap.pt", weights_only=True))
    new = torch.cat([blobs(), blobs() + 0.01])
    assert torch.equal(other.transform(new), fitted.transform(new))


def test_a_loaded_state_replaces_what_was_there(fitted: UMAP) -> None:
    other = UMAP(SETTINGS)
    other.arrays = {"points": torch.zeros(1, 6), "places": torch.ones(1, 3)}
    assert other.transform(blobs()[:2]).tolist() == [[1, 1, 1]] * 2
    other.load_state_dict(fitted.state_dict())
    assert torch.equal(other.transform(blobs()), fitted.transform(blobs()))


def test_raw_pixels_are_kept_as_bytes(fitted: UMAP) -> None:
    assert fitted.arrays["points"].dtype == torch.uint8
    assert fitted.arrays["points"].shape == (118, 6)
    assert torch.equal(fitted.arrays["points"].float() / 255, blobs()[[i for i in range(120) if i not in (50, 60)]])


@pytest.mark.parametrize(
    "points",
    [
        pytest.param(torch.arange(12.0).reshape(4, 3), id="four points, fewer than neighbours and dimensions"),
        pytest.param(torch.ones(40, 2), id="all equal"),
        pytest.param(torch.eye(5).repeat(12, 1), id="more duplicates than neighbours, a graph in five parts"),
        pytest.param(torch.arange(70.0)[:, None] ** 2, id="one dimension"),
        pytest.param(torch.cat([torch.eye(30), 1e4 + torch.eye(30)]), id="two parts of equal distances"),
    ],
)
def test_awkward_points_get_places_that_repeat(points: torch.Tensor) -> None:
    first, second = (fit(points) for _ in range(2))
    places = first.transform(points)
    assert places.shape == (len(points), 3)
    assert torch.isfinite(places).all()
    assert torch.equal(places, second.transform(points))
    new = points[:3] + 0.25
    assert torch.equal(torch.cat([first.transform(point[None]) for point in new]), first.transform(new))


def test_all_threads_may_lay_out() -> None:
    settings = SETTINGS.model_copy(update={"reproducible": False})
    assert torch.isfinite(fit(blobs(), settings).arrays["places"]).all()


def test_titles_and_notes() -> None:
    assert UMAP(UMAPSettings()).title == "UMAP 10-d"
    assert UMAP(UMAPSettings()).notes == ("UMAP seeded, one thread", "new images: 5 nearest neighbours")
    loose = UMAPSettings(reproducible=False, extension=1)
    assert UMAP(loose).notes == ("UMAP on all threads, not repeatable", "new images: 1 nearest neighbour")


def test_too_few_points_are_refused() -> None:
    with pytest.raises(RepresentationError, match="at least 4 points; received 3"):
        fit(torch.zeros(3, 2))


def test_values_that_are_not_finite_are_refused() -> None:
    with pytest.raises(RepresentationError, match="finite"):
        fit(torch.full((10, 2), float("nan")))


def ring(n: int) -> scipy.sparse.csr_matrix:
    """A ring of n vertices, every edge 1."""
    ones = np.ones(n)
    return scipy.sparse.csr_matrix(scipy.sparse.diags([ones[1:], ones[1:], [1], [1]], [1, -1, n - 1, 1 - n]))


def test_a_connected_graph_begins_at_the_eigenvectors_of_its_laplacian() -> None:
    generator = np.random.default_rng(0)
    weights = np.triu(generator.random((60, 60)) * (generator.random((60, 60)) < 0.2), 1)
    weights += weights.T + np.diag(np.ones(59), 1) + np.diag(np.ones(59), -1)
    degrees = weights.sum(axis=0)
    laplacian = np.eye(60) - weights / np.sqrt(degrees[:, None] * degrees[None])
    _, vectors = np.linalg.eigh(laplacian)
    expected = vectors[:, 1:4]
    places = initial_places(torch.zeros(60, 2), scipy.sparse.csr_matrix(weights), 3, 200, np.random.RandomState(0))
    expected = 10 * expected / np.abs(expected).max() * np.sign((places * expected).sum(axis=0))
    assert np.allclose(places, expected, atol=0.1)


def test_a_graph_in_parts_begins_at_the_principal_components() -> None:
    points = torch.zeros(120, 2)
    points[:, 1] = torch.arange(120.0) - 59.5
    parts = scipy.sparse.block_diag([ring(60), ring(60)]).tocsr()
    places = initial_places(points, parts, 3, 200, np.random.RandomState(0))
    assert np.allclose(places[:, 0], np.linspace(-10, 10, 120), atol=0.01)
    assert np.abs(places[:, 1:]).max() < 0.01


def test_an_edge_too_weak_for_the_layout_joins_no_parts() -> None:
    points = torch.zeros(120, 2)
    points[:, 1] = torch.arange(120.0) - 59.5
    parts = scipy.sparse.block_diag([ring(60), ring(60)]).tolil()
    parts[0, 119] = parts[119, 0] = 0.001
    places = initial_places(points, parts.tocsr(), 3, 200, np.random.RandomState(0))
    assert np.allclose(places[:, 0], np.linspace(-10, 10, 120), atol=0.01)
