"""DBSCAN against scikit-learn and by hand; noise as the last cluster."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.cluster import DBSCAN, HDBSCAN
from sklearn.datasets import make_moons
from sklearn.metrics import adjusted_rand_score

from estimators.base import Clusterer, ClusteringError
from estimators.density import NOISE, DBSCANClusterer, HDBSCANClusterer, core_distances, dbscan, knee, linked
from estimators.settings import DBSCANSettings, HDBSCANSettings


def moons_and_noise() -> torch.Tensor:
    moons, _ = make_moons(400, noise=0.05, random_state=0)
    noise = np.random.default_rng(0).uniform([-2, -1.5], [3, 2], size=(40, 2))
    return torch.from_numpy(np.concatenate([moons, noise])).float()


def fit(clusterer: Clusterer, points: torch.Tensor) -> torch.Tensor:
    clusterer.fit(points, 10, seed=0)
    return clusterer.assign(points).labels


@pytest.mark.parametrize("dimensions", [2, 20])
@pytest.mark.parametrize("radius", [0.12, 0.17, 0.31])
def test_core_points_and_noise_are_those_of_scikit_learn(dimensions: int, radius: float) -> None:
    points = moons_and_noise()
    points = torch.cat([points, torch.zeros(len(points), dimensions - 2)], dim=1) + 5
    reference = DBSCAN(eps=radius, min_samples=6).fit(points.double().numpy())
    found = dbscan(points, core_distances(points, 6), radius)
    core = reference.core_sample_indices_
    assert adjusted_rand_score(reference.labels_[core], found[core]) == 1
    assert ((found == NOISE).numpy() == (reference.labels_ == -1)).all()


@given(n=st.integers(1, 40), radius=st.integers(0, 4), count=st.integers(1, 6), seed=st.integers(0, 99))
def test_whole_numbers_leave_no_doubt(n: int, radius: int, count: int, seed: int) -> None:
    # Distances that equal the radius count as within it.
    points = torch.randint(12, (n, 1), generator=torch.Generator().manual_seed(seed)).float()
    found = dbscan(points, core_distances(points, count), float(radius))
    reference = DBSCAN(eps=radius + 1e-9, min_samples=count).fit(points.numpy())
    assert ((found == NOISE).numpy() == (reference.labels_ == -1)).all()
    core = reference.core_sample_indices_
    if len(core):
        assert adjusted_rand_score(reference.labels_[core], found[core]) == 1


def test_a_border_point_goes_with_its_nearest_core_point() -> None:
    left, right = [[-4.0], [-3.5], [-3.0], [-2.5], [-2.0]], [[2.5], [3.0], [3.5], [4.0], [4.5]]
    points = torch.tensor([*left, [0.1], *right])  # it reaches one core point on either side
    assert dbscan(points, core_distances(points, 5), 2.5).tolist() == [0] * 6 + [1] * 5
    points[5] = 0.4
    assert dbscan(points, core_distances(points, 5), 2.5).tolist() == [0] * 5 + [1] * 6


def test_links_hold_over_blocks_and_end_at_the_radius() -> None:
    line = torch.arange(1000.0)[:, None]  # several blocks
    assert linked(line, 1.0).unique().tolist() == [0]
    assert linked(line, 0.999).tolist() == list(range(1000))
    line[600:] += 0.5
    assert linked(line, 1.0).tolist() == [0] * 600 + [1] * 400


def test_links_are_exact_far_from_the_origin() -> None:
    # So many points in so many dimensions that faiss would expand the square, and lose these distances in 10^10.
    places = torch.tensor([0.0, 1.0, 3.0]).repeat(100)[:, None].expand(300, 600) / 600**0.5 + 4096
    assert linked(places, 1.05).tolist() == [0, 0, 1] * 100


def test_core_distances_by_hand() -> None:
    points = torch.tensor([[0.0], [1.0], [3.0], [3.0]])
    assert core_distances(points, 1).tolist() == [0, 0, 0, 0]
    assert core_distances(points, 2).tolist() == [1, 1, 0, 0]
    assert core_distances(points, 4).tolist() == [3, 2, 3, 3]
    assert core_distances(points, 5).isinf().all()


def test_the_knee_by_hand() -> None:
    # Scaled: (0, 0), (¼, 0), (½, 0.1), (¾, 0.2), (1, 1): farthest below the chord at ¾.
    assert knee(torch.tensor([1.0, 1.0, 2.0, 3.0, 11.0], dtype=torch.float64)[torch.tensor([3, 0, 4, 1, 2])]) == 3
    assert knee(torch.full((5,), 2.0, dtype=torch.float64)) == 2
    assert knee(torch.ones(1, dtype=torch.float64)) == 1


def test_dbscan_finds_its_radius() -> None:
    clusterer = DBSCANClusterer(DBSCANSettings(points=6))
    labels = fit(clusterer, moons_and_noise())
    _, moon = make_moons(400, noise=0.05, random_state=0)
    assert adjusted_rand_score(moon, labels[:400]) > 0.95
    radius = float(clusterer.arrays["radius"])
    assert radius == knee(core_distances(moons_and_noise(), 6))
    assert clusterer.notes[1] == f"radius {radius:.3g}, the bend of the 6-distances"


def test_noise_is_the_last_cluster() -> None:
    blobs = torch.tensor([0.0, 10.0]).repeat_interleave(45)[:, None] + torch.linspace(0, 1, 45).repeat(2)[:, None]
    points = torch.cat([torch.tensor([[-50.0]]), blobs, torch.linspace(100, 500, 9)[:, None]])
    clusterer = DBSCANClusterer(DBSCANSettings(radius=0.5, points=5))
    labels = fit(clusterer, points)
    assert labels.tolist() == [2] + [0] * 45 + [1] * 45 + [2] * 9
    assert clusterer.notes[0] == "found 2 clusters and noise (10 % of the images)"
    torch.testing.assert_close(clusterer.centroids[2], points[labels == 2].mean(dim=0))


def test_only_noise_is_one_cluster() -> None:
    points = torch.arange(20.0)[:, None]
    for clusterer in (
        DBSCANClusterer(DBSCANSettings(radius=0.5, points=3)),
        DBSCANClusterer(DBSCANSettings(radius=99.0, points=21)),
        HDBSCANClusterer(HDBSCANSettings(smallest=0.99, points=20)),
    ):
        assert fit(clusterer, points).tolist() == [0] * 20
        assert clusterer.clusters == 1
        assert clusterer.notes[0] == "found no cluster, only noise (100 % of the images)"


def test_a_radius_that_holds_all_is_one_cluster() -> None:
    clusterer = DBSCANClusterer(DBSCANSettings(radius=99.0, points=3))
    assert fit(clusterer, torch.arange(20.0)[:, None]).tolist() == [0] * 20
    assert clusterer.notes[0] == "found 1 cluster and no noise"


def test_hdbscan_is_that_of_scikit_learn_with_noise_last() -> None:
    points = moons_and_noise()
    clusterer = HDBSCANClusterer(HDBSCANSettings(smallest=0.1, points=5))
    labels = fit(clusterer, points)
    reference = HDBSCAN(min_cluster_size=44, min_samples=5, copy=True).fit_predict(points.double().numpy())
    assert labels.tolist() == np.where(reference == -1, reference.max() + 1, reference).tolist()
    share = round(100 * (reference == -1).mean())
    assert clusterer.notes[0] == f"found {reference.max() + 1} clusters and noise ({share} % of the images)"


def test_too_few_points_are_explained() -> None:
    with pytest.raises(ClusteringError, match="distances to the 10-th point, but there are 4. Set points to 4 or less"):
        fit(DBSCANClusterer(DBSCANSettings()), torch.zeros(4, 2))
    with pytest.raises(ClusteringError, match="10 neighbours, but there are 4 points. Set points to 4 or less"):
        fit(HDBSCANClusterer(HDBSCANSettings()), torch.zeros(4, 2))
