"""Estimators on the pretend accelerator: the CPU's answers, to a tolerance that each test states, and right values."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from pydantic import TypeAdapter
from sklearn.metrics import adjusted_rand_score
from torch import Tensor

from estimators import on_device, spectral, umap
from estimators.base import Clusterer, ClusteringError
from estimators.build import CLUSTERERS, build_clusterer
from estimators.extension import nearest
from estimators.on_device import cluster_sums, full_float32
from estimators.pca import PCA
from estimators.settings import ClustererSettings, PCASettings, UMAPSettings
from estimators.spectral import neighbour_graph, spectral_embedding
from estimators.umap import UMAP
from estimators.umap_by_cuml import cuml_for
from tests.pretend_accelerator import DEVICE, OnAccelerator, PretendAccelerator, pretend
from tests.test_estimators_contract import OPTIONS, three_blobs


@pytest.fixture
def accelerator() -> Iterator[PretendAccelerator]:
    with pretend() as (accelerator, _):
        yield accelerator


def build(name: str, **options: Any) -> Clusterer:
    given = {"name": name} | OPTIONS.get(name, {}) | options
    return build_clusterer(TypeAdapter(ClustererSettings).validate_python(given))


def fitted(name: str, points: Tensor, k: int, **options: Any) -> Clusterer:
    clusterer = build(name, **options)
    clusterer.fit(points, k, seed=0)
    return clusterer


def overlapping(n: int = 900, k: int = 4, d: int = 5) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    centres = 3 * torch.randn(k, d, generator=generator)
    spread = 1 + torch.rand(k, d, generator=generator)
    blob = torch.arange(n) % k
    return centres[blob] + spread[blob] * torch.randn(n, d, generator=generator)


@pytest.mark.parametrize("name", CLUSTERERS)
def test_blobs_are_found_there_and_what_is_left_behind_is_on_the_cpu(
    name: str, accelerator: PretendAccelerator
) -> None:
    points, blob = three_blobs()
    clusterer = fitted(name, points.to(DEVICE), 3)
    answer = clusterer.assign(points.to(DEVICE))
    assert adjusted_rand_score(blob, answer.labels) == 1
    here = build(name)
    here.arrays = dict(clusterer.arrays)
    assert torch.equal(here.assign(points).labels, answer.labels)
    assert here.criteria(points) == pytest.approx(clusterer.criteria(points.to(DEVICE)), rel=1e-6)
    kept = [*clusterer.arrays.values(), *(part for part in answer if part is not None)]
    assert not any(isinstance(array, OnAccelerator) for array in kept)


@pytest.mark.parametrize("name", CLUSTERERS)
def test_points_of_a_device_without_float64_are_fitted_on_the_cpu(
    name: str, accelerator: PretendAccelerator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(on_device, "WITHOUT_FLOAT64", (DEVICE.type,))
    points, _ = three_blobs()
    there, here = fitted(name, points.to(DEVICE), 3), fitted(name, points, 3)
    assert all(torch.equal(array, here.arrays[key]) for key, array in there.arrays.items())
    assert torch.equal(there.assign(points.to(DEVICE)).labels, here.assign(points).labels)
    assert there.criteria(points.to(DEVICE)) == here.criteria(points)


@pytest.mark.parametrize("name", CLUSTERERS)
def test_points_that_are_not_finite_are_refused_there(name: str, accelerator: PretendAccelerator) -> None:
    points, _ = three_blobs(20)
    points[3, 1] = torch.nan
    with pytest.raises(ClusteringError, match="needs finite points; received NaN or infinity in 1 of 20"):
        build(name).fit(points.to(DEVICE), 3, seed=0)


@pytest.mark.parametrize("few_numbers", [False, True])
@pytest.mark.parametrize("kind", ["random", "far off", "duplicates", "few dimensions", "huge"])
def test_nearest_is_exact_there(
    kind: str, few_numbers: bool, accelerator: PretendAccelerator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Distances of a float64 brute force to 1e-12, and the lowest indices among equal ones."""
    if few_numbers:
        monkeypatch.setattr(on_device, "NUMBERS", 500)
    generator = torch.Generator().manual_seed(2)
    base = torch.randn(80, 3 if kind == "few dimensions" else 17, generator=generator)
    points = torch.randn(50, base.shape[1], generator=generator)
    if kind == "far off":
        base, points = base * 1e-3 + 100, points * 1e-3 + 100
    elif kind == "duplicates":
        base, points = base.round().repeat(3, 1), points.round()
    elif kind == "huge":
        base, points = base * 1e25, points * 1e25
    brute = (points[:, None].double() - base.double()).square().sum(dim=2)
    expected = brute.sort(dim=1, stable=True)
    squared, found = nearest(points.to(DEVICE), base, 4)
    assert isinstance(found, OnAccelerator)
    torch.testing.assert_close(squared.cpu(), expected.values[:, :4], rtol=1e-12, atol=0)
    assert torch.equal(found.cpu(), expected.indices[:, :4])
    assert torch.equal(found.cpu(), nearest(points, base, 4)[1])


def test_sums_over_clusters(accelerator: PretendAccelerator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(on_device, "NUMBERS", 20)
    points = torch.tensor([[1.0, 10.0], [2.0, 20.0], [4.0, 40.0], [8.0, 80.0]])
    sums, counts = cluster_sums(points.to(DEVICE), torch.tensor([2, 0, 2, 0]).to(DEVICE), 3)
    assert sums.cpu().tolist() == [[10, 100], [0, 0], [5, 50]]
    assert counts.cpu().tolist() == [2, 0, 2]


def test_products_are_made_in_full_float32_and_the_run_goes_on_as_before() -> None:
    matmul = torch.backends.cuda.matmul
    before = matmul.allow_tf32
    try:
        for allowed in (True, False):
            matmul.allow_tf32 = allowed
            with full_float32():
                assert not matmul.allow_tf32
            assert matmul.allow_tf32 is allowed
    finally:
        matmul.allow_tf32 = before


@pytest.mark.parametrize("initialise", ["k-means++", "kmeans"])
@pytest.mark.parametrize("covariance", ["full", "tied", "diagonal", "spherical"])
def test_a_mixture_is_as_likely_as_the_cpus(
    covariance: str, initialise: str, accelerator: PretendAccelerator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Log-likelihoods agree to 1e-3, several blocks of points included; probabilities to 1e-6."""
    monkeypatch.setattr(on_device, "NUMBERS", 8000)
    points = overlapping()
    options = {"covariance": covariance, "initialise": initialise, "redos": 3, "tol": 1e-4, "iterations": 300}
    there, here = fitted("gmm", points.to(DEVICE), 4, **options), fitted("gmm", points, 4, **options)
    assert there.criteria(points.to(DEVICE)) == pytest.approx(here.criteria(points), rel=1e-3)
    assert {name: array.shape for name, array in there.arrays.items()} == {
        name: array.shape for name, array in here.arrays.items()
    }
    here.arrays = dict(there.arrays)
    ours, theirs = there.assign(points.to(DEVICE)).probabilities, here.assign(points).probabilities
    assert ours is not None
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-6)


def test_a_mixture_of_separate_blobs_has_their_shares_means_and_covariances(accelerator: PretendAccelerator) -> None:
    points, blob = three_blobs(240)
    mixture = fitted("gmm", points.to(DEVICE), 3, initialise="kmeans", floor=1e-4)
    numbers = mixture.assign(points).labels
    for cluster in range(3):
        member = blob == int(blob[numbers == cluster][0])
        own = points[member].double().numpy()
        assert float(mixture.arrays["weights"][cluster]) == pytest.approx(len(own) / 240)
        np.testing.assert_allclose(mixture.arrays["means"][cluster], own.mean(axis=0), atol=1e-9)
        covariance = np.cov(own.T, bias=True) + 1e-4 * np.eye(4)
        np.testing.assert_allclose(mixture.arrays["covariances"][cluster], covariance, atol=1e-9)


def test_mixture_notes_and_errors_are_those_of_the_cpu(accelerator: PretendAccelerator) -> None:
    assert fitted("gmm", overlapping().to(DEVICE), 4, iterations=1).notes == ("EM stopped after 1 iterations",)
    with pytest.raises(ClusteringError, match="GMM: the covariance of a component collapsed"):
        fitted("gmm", torch.eye(3).repeat(4, 1).to(DEVICE), 3, floor=1e-300)


@pytest.mark.parametrize("shape", [(300, 7), (20, 40)])
def test_principal_components(shape: tuple[int, int], accelerator: PretendAccelerator) -> None:
    """Those of a singular value decomposition by numpy, to 1e-8; coordinates stay on the device."""
    points = torch.randn(shape, generator=torch.Generator().manual_seed(0)) * torch.linspace(1, 3, shape[1])
    pca = PCA(PCASettings(components=3))
    pca.fit(points.to(DEVICE), seed=0)
    centred = points.double().numpy() - points.double().numpy().mean(axis=0)
    _, lengths, axes = np.linalg.svd(centred, full_matrices=False)
    assert not any(isinstance(array, OnAccelerator) for array in pca.arrays.values())
    np.testing.assert_allclose(pca.arrays["variances"], lengths[:3] ** 2 / (shape[0] - 1), rtol=1e-8)
    np.testing.assert_allclose(np.abs((pca.arrays["components"].numpy() * axes[:3]).sum(axis=1)), 1, atol=1e-8)
    places = pca.transform(points.to(DEVICE))
    assert isinstance(places, OnAccelerator)
    torch.testing.assert_close(places.cpu(), pca.transform(points), rtol=0, atol=1e-5)


def test_a_map_has_the_cpus_units(accelerator: PretendAccelerator) -> None:
    """To 1e-5, after 20 passes, with the order of its grid."""
    points = overlapping()
    there, here = fitted("som", points.to(DEVICE), 6, passes=20), fitted("som", points, 6, passes=20)
    torch.testing.assert_close(there.centroids, here.centroids, rtol=0, atol=1e-5)
    assert there.notes == ("map of 2 × 3 units",)


@pytest.mark.parametrize("parts", [1, 2])
def test_leading_eigenvectors_are_those_of_a_dense_matrix(
    parts: int, accelerator: PretendAccelerator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same subspace to 1e-6, for a graph in one part and in two."""
    monkeypatch.setattr(spectral, "DENSE", 10)
    points = torch.randn(120, 3, generator=torch.Generator().manual_seed(0))
    points[:50, 0] += 40 * (parts - 1)
    affinity = neighbour_graph(points.to(DEVICE), 10)
    degree = affinity.sum(axis=1)
    found = spectral_embedding(affinity, 5, seed=0, device=DEVICE) * np.sqrt(degree / degree.sum())[:, None]
    values, vectors = np.linalg.eigh(affinity.toarray() / np.sqrt(np.outer(degree, degree)))
    assert (values > 1 - 1e-9).sum() == parts
    assert values[-5] - values[-6] > 5e-4
    np.testing.assert_allclose(np.linalg.svd(found.T @ vectors[:, -5:])[1], 1, atol=1e-6)


def test_eigenvectors_that_are_not_found_are_an_error(
    accelerator: PretendAccelerator, monkeypatch: pytest.MonkeyPatch
) -> None:
    from estimators import spectral_on_device

    monkeypatch.setattr(spectral, "DENSE", 10)
    monkeypatch.setattr(spectral_on_device, "ROUNDS", 1)
    with pytest.raises(ClusteringError, match="graph of 90 points were not found"):
        fitted("spectral", torch.randn(90, 2, generator=torch.Generator().manual_seed(0)).to(DEVICE), 3)


class StandInUMAP:
    """What this project asks of `cuml.manifold.UMAP`: the first coordinates are its layout."""

    asked: ClassVar[dict[str, Any]] = {}

    def __init__(self, **settings: Any) -> None:
        self.asked.clear()
        self.asked.update(settings)

    def fit_transform(self, points: Tensor) -> Any:
        assert isinstance(points, OnAccelerator)
        return points[:, : self.asked["n_components"]].cpu().double().numpy()


def test_umap_by_cuml_is_named_and_keeps_its_places(
    accelerator: PretendAccelerator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(umap, "cuml_for", lambda device: SimpleNamespace(UMAP=StandInUMAP))
    points = torch.randn(30, 4, generator=torch.Generator().manual_seed(0))
    reducer = UMAP(UMAPSettings(components=2, neighbours=50))
    reducer.fit(points.to(DEVICE), seed=2**40)
    assert StandInUMAP.asked["n_neighbors"] == 29
    assert StandInUMAP.asked["random_state"] == 0
    assert reducer.notes[0] == "UMAP by cuML, seeded"
    places = reducer.transform(points.to(DEVICE))
    assert isinstance(places, OnAccelerator)
    assert torch.equal(places.cpu(), points[:, :2])
    loaded = UMAP(UMAPSettings(components=2, neighbours=50))
    loaded.load_state_dict(reducer.state_dict())
    assert loaded.notes == reducer.notes
    assert torch.equal(loaded.transform(points), points[:, :2])


def test_cuml_is_taken_where_points_lie_on_cuda_and_it_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    manifold = SimpleNamespace(UMAP=StandInUMAP)
    monkeypatch.setitem(sys.modules, "cuml", SimpleNamespace(manifold=manifold))
    assert cuml_for(torch.device("cuda", 0)) is manifold
    assert cuml_for(torch.device("cpu")) is None
    monkeypatch.setitem(sys.modules, "cuml", None)
    assert cuml_for(torch.device("cuda", 0)) is None
