"""KMeans by faiss against scikit-learn and against brute force."""

from __future__ import annotations

import pytest
import torch
from sklearn.cluster import KMeans

from configs.schema import KMeansSettings
from estimators.base import ClusteringError
from estimators.kmeans import COARSE, kmeans, nearest_centroid

SETTINGS = KMeansSettings(redos=5, iterations=100)


def blobs(n: int, k: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    centres = 3 * torch.randn(k, 4, generator=generator)
    return centres[torch.arange(n) % k] + torch.randn(n, 4, generator=generator)


def test_inertia_is_as_low_as_scikit_learns() -> None:
    points = blobs(3000, 6)
    reference = KMeans(6, n_init=10, random_state=0).fit(points.numpy())
    fit = kmeans(points, 6, SETTINGS, seed=0)
    assert fit.inertia == pytest.approx(reference.inertia_, rel=1e-3)


def test_centroids_are_the_means_of_their_points_and_inertia_their_squared_distances() -> None:
    points = blobs(900, 5)
    fit = kmeans(points, 5, SETTINGS, seed=3)
    means = torch.stack([points[fit.labels == cluster].mean(dim=0) for cluster in range(5)])
    assert torch.allclose(fit.centroids, means, atol=1e-2)
    assert fit.inertia == pytest.approx(
        sum(float((points[i] - fit.centroids[fit.labels[i]]).double().square().sum()) for i in range(900))
    )


def test_every_point_counts() -> None:
    # A far-off cluster of 3 points among 20,000: a draw of 256 points a centroid would rarely see it.
    points = torch.cat([torch.randn(20_000, 2), torch.tensor([[1e3, 1e3]] * 3)])
    fit = kmeans(points, 2, SETTINGS, seed=0)
    assert sorted(fit.labels.bincount().tolist()) == [3, 20_000]


def test_same_seed_same_answer() -> None:
    points = blobs(500, 4)
    first, second = (kmeans(points, 4, SETTINGS, seed=7) for _ in range(2))
    assert torch.equal(first.centroids, second.centroids)


def test_as_many_clusters_as_points() -> None:
    points = torch.tensor([[0.0], [1.0], [2.0]])
    fit = kmeans(points, 3, SETTINGS, seed=0)
    assert sorted(fit.labels.tolist()) == [0, 1, 2]
    assert fit.inertia == 0


def test_more_clusters_than_points_is_refused() -> None:
    with pytest.raises(ClusteringError, match="2 to 3 clusters for 3 points; received k = 4"):
        kmeans(torch.zeros(3, 2), 4, SETTINGS, seed=0)


def test_points_that_are_not_finite_are_refused() -> None:
    with pytest.raises(ClusteringError, match="finite"):
        kmeans(torch.tensor([[0.0], [float("nan")], [1.0]]), 2, SETTINGS, seed=0)


def test_nearest_centroid_does_not_depend_on_the_batch() -> None:
    points, centroids = blobs(1000, 5) + 100, blobs(7, 7) + 100
    label, squared = nearest_centroid(points, centroids)
    brute = (points[:, None].double() - centroids[None].double()).square().sum(dim=2)
    assert torch.equal(label, brute.argmin(dim=1))
    assert torch.allclose(squared.double(), brute.min(dim=1).values, rtol=1e-5)
    parts = [nearest_centroid(part, centroids)[0] for part in points.split(33)]
    assert torch.equal(torch.cat(parts), label)


def test_many_dimensions_end_as_low_as_scikit_learn_and_at_a_fixed_point() -> None:
    """The starts on principal axes are only starts: the centroids are means of their points in all dimensions."""
    generator = torch.Generator().manual_seed(0)
    centres = 3 * torch.randn(6, 200, generator=generator)
    points = centres[torch.arange(600) % 6] + torch.randn(600, 200, generator=generator)
    assert points.shape[1] > 2 * COARSE
    fit = kmeans(points, 6, KMeansSettings(redos=3), seed=0)
    theirs = KMeans(6, n_init=3, random_state=0).fit(points.numpy())
    assert fit.inertia == pytest.approx(theirs.inertia_, rel=1e-5)
    for label in range(6):
        assert torch.allclose(points[fit.labels == label].mean(dim=0), fit.centroids[label], atol=1e-4)
    again = kmeans(points, 6, KMeansSettings(redos=3), seed=0)
    assert torch.equal(fit.centroids, again.centroids)
