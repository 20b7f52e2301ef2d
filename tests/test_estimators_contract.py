"""What every clusterer promises, on points that are easy to cluster."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter
from sklearn.metrics import adjusted_rand_score

from estimators.base import Clusterer, ClusteringError
from estimators.build import CLUSTERERS, build_clusterer
from estimators.settings import ClustererSettings

OPTIONS: dict[str, dict[str, Any]] = {
    "dbscan": {"radius": 1.0, "points": 5},
    "hdbscan": {"smallest": 0.1, "points": 5},
    "spectral": {"redos": 2},
    "som": {"passes": 20},
}
FINDS_ITS_NUMBER = {"dbscan", "hdbscan"}


def build(name: str, **options: Any) -> Clusterer:
    given_settings = {"name": name} | OPTIONS.get(name, {}) | options
    return build_clusterer(TypeAdapter(ClustererSettings).validate_python(given_settings))


def three_blobs(n: int = 120, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """n points of 3 far-off clusters in 4 dimensions, and which cluster each is of."""
    generator = torch.Generator().manual_seed(seed)
    blob = torch.randint(3, (n,), generator=generator)
    return 10 * torch.eye(4)[blob] + 0.3 * torch.randn(n, 4, generator=generator), blob


@pytest.fixture(scope="module")
def fitted() -> dict[str, Clusterer]:
    points, _ = three_blobs()
    clusterers = {name: build(name) for name in CLUSTERERS}
    for clusterer in clusterers.values():
        clusterer.fit(points, 3, seed=0)
    return clusterers


@pytest.mark.parametrize("name", CLUSTERERS)
def test_separate_blobs_are_found(name: str, fitted: dict[str, Clusterer]) -> None:
    points, blob = three_blobs()
    labels = fitted[name].assign(points).labels
    assert adjusted_rand_score(blob, labels) == 1
    assert fitted[name].clusters == 3
    assert sorted(labels.unique().tolist()) == [0, 1, 2]


@pytest.mark.parametrize("name", CLUSTERERS)
def test_new_points_join_their_blobs(name: str, fitted: dict[str, Clusterer]) -> None:
    points, blob = three_blobs()
    new_points, new_blob = three_blobs(50, seed=1)
    labels = torch.cat([fitted[name].assign(points).labels, fitted[name].assign(new_points).labels])
    assert adjusted_rand_score(torch.cat([blob, new_blob]), labels) == 1


@pytest.mark.parametrize("name", CLUSTERERS)
def test_centroids_are_near_the_means(name: str, fitted: dict[str, Clusterer]) -> None:
    points, _ = three_blobs()
    labels = fitted[name].assign(points).labels
    means = torch.stack([points[labels == cluster].mean(dim=0) for cluster in range(3)])
    assert fitted[name].centroids.dtype == torch.float32
    torch.testing.assert_close(fitted[name].centroids, means, atol=0.2, rtol=0)


@pytest.mark.parametrize("name", CLUSTERERS)
def test_same_seed_same_labels(name: str, fitted: dict[str, Clusterer]) -> None:
    points = torch.randn(90, 3, generator=torch.Generator().manual_seed(1))  # no clusters to be found
    labels = []
    for _ in range(2):
        clusterer = build(name)
        clusterer.fit(points, 4, seed=5)
        labels.append(clusterer.assign(points).labels)
    assert torch.equal(*labels)


@pytest.mark.parametrize("name", CLUSTERERS)
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(cuts=st.lists(st.integers(0, 60), max_size=6), seed=st.integers(0, 5), scale=st.sampled_from([0.3, 8.0]))
def test_one_batch_or_many(name: str, fitted: dict[str, Clusterer], cuts: list[int], seed: int, scale: float) -> None:
    points = scale * torch.randn(60, 4, generator=torch.Generator().manual_seed(seed))
    whole = fitted[name].assign(points)
    parts = [fitted[name].assign(part) for part in points.tensor_split(sorted(cuts))]
    assert torch.equal(whole.labels, torch.cat([part.labels for part in parts]))
    if whole.probabilities is not None:
        assert torch.equal(whole.probabilities, torch.cat([part.probabilities for part in parts]))


@pytest.mark.parametrize("name", CLUSTERERS)
def test_saved_and_loaded_it_says_the_same(name: str, fitted: dict[str, Clusterer], tmp_path: Path) -> None:
    points, _ = three_blobs(40, seed=2)
    torch.save(fitted[name].state_dict(), tmp_path / "state.pt")
    loaded = build(name)
    assert loaded.clusters == 0
    loaded.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    assert torch.equal(loaded.assign(points).labels, fitted[name].assign(points).labels)
    assert torch.equal(loaded.centroids, fitted[name].centroids)
    assert loaded.criteria(points) == fitted[name].criteria(points)
    assert loaded.notes == fitted[name].notes


@pytest.mark.parametrize("name", CLUSTERERS)
def test_probabilities_sum_to_one_and_are_largest_at_the_label(name: str, fitted: dict[str, Clusterer]) -> None:
    points = 5 * torch.randn(80, 4, generator=torch.Generator().manual_seed(3))
    labels, probabilities = fitted[name].assign(points)
    assert labels.dtype == torch.int64
    assert 0 <= labels.min() <= labels.max() < fitted[name].clusters
    if probabilities is not None:
        assert probabilities.shape == (80, 3)
        assert probabilities.dtype == torch.float32
        torch.testing.assert_close(probabilities.sum(dim=1), torch.ones(80))
        assert torch.equal(probabilities.argmax(dim=1), labels)


@pytest.mark.parametrize("name", CLUSTERERS)
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_points_that_are_not_finite_are_refused(name: str, value: float, fitted: dict[str, Clusterer]) -> None:
    points, _ = three_blobs(20)
    points[3, 1] = value
    with pytest.raises(ClusteringError, match="needs finite points; received NaN or infinity in 1 of 20"):
        build(name).fit(points, 3, seed=0)
    with pytest.raises(ClusteringError, match="needs finite points"):
        fitted[name].assign(points)


@pytest.mark.parametrize("name", sorted(CLUSTERERS.keys() - FINDS_ITS_NUMBER))
@pytest.mark.parametrize("k", [1, 21])
def test_a_number_of_clusters_that_cannot_be_is_refused(name: str, k: int) -> None:
    points, _ = three_blobs(20)
    with pytest.raises(ClusteringError, match=f"needs 2 to 20 clusters for 20 points; received k = {k}"):
        build(name).fit(points, k, seed=0)


@pytest.mark.parametrize("name", CLUSTERERS)
def test_no_points_get_no_labels(name: str, fitted: dict[str, Clusterer]) -> None:
    assert fitted[name].assign(torch.zeros(0, 4)).labels.shape == (0,)


@pytest.mark.parametrize("name", CLUSTERERS)
def test_every_point_may_be_a_duplicate(name: str) -> None:
    points = three_blobs(3)[0].repeat_interleave(20, dim=0)
    clusterer = build(name)
    clusterer.fit(points, 2, seed=0)
    labels = clusterer.assign(points).labels.view(3, 20)
    assert torch.equal(labels, labels[:, :1].expand(3, 20))


SUBSET_CLUSTERERS = ["agglomerative", "spectral", "dbscan", "hdbscan"]


@pytest.mark.parametrize("name", SUBSET_CLUSTERERS)
def test_a_subset_is_named_and_reaches_all_points(name: str) -> None:
    points, blob = three_blobs(200)
    clusterer = build(name, subset=100)
    clusterer.fit(points, 3, seed=0)
    assert adjusted_rand_score(blob, clusterer.assign(points).labels) == 1
    assert clusterer.notes[-2:] == (
        "fitted on 100 of 200 images drawn at random",
        "other images: nearest neighbour (1-NN)",
    )
    assert len(clusterer.arrays["points"]) == 100


@pytest.mark.parametrize("name", SUBSET_CLUSTERERS)
def test_a_point_of_the_fit_keeps_its_cluster(name: str) -> None:
    points, _ = three_blobs(150)
    clusterer = build(name, subset=100)
    clusterer.fit(points + 30, 3, seed=0)
    assert clusterer.clusters == 3
    assert torch.equal(clusterer.assign(clusterer.arrays["points"]).labels, clusterer.arrays["labels"])


@pytest.mark.parametrize("name", SUBSET_CLUSTERERS)
def test_a_subset_that_holds_all_points_is_not_named(name: str, fitted: dict[str, Clusterer]) -> None:
    assert not any("drawn" in note for note in fitted[name].notes)
    assert fitted[name].notes[-1] == "other images: nearest neighbour (1-NN)"


def test_the_subset_depends_on_the_seed() -> None:
    points, _ = three_blobs(200)
    drawn = []
    for seed in (0, 0, 1):
        clusterer = build("agglomerative", subset=50)
        clusterer.fit(points, 3, seed)
        drawn.append(clusterer.arrays["points"])
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])
