"""Spectral clustering against scikit-learn, and its eigenvectors against their equation."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.linalg import eigh, subspace_angles
from sklearn.cluster import SpectralClustering
from sklearn.datasets import load_digits, make_moons
from sklearn.metrics import adjusted_rand_score
from sklearn.neighbors import kneighbors_graph

from estimators import spectral
from estimators.base import ClusteringError
from estimators.settings import SpectralSettings
from estimators.spectral import SpectralClusterer, neighbour_graph, spectral_embedding


def moons(n: int = 300) -> tuple[torch.Tensor, np.ndarray]:
    points, moon = make_moons(n, noise=0.08, random_state=0)
    return torch.from_numpy(points).float(), moon


def ring(n: int, far: float = 0.0) -> torch.Tensor:
    angle = torch.arange(n) * (2 * torch.pi / n)
    return torch.stack([angle.cos() + far, angle.sin()], dim=1)


def clustered(points: torch.Tensor, k: int, **options: int) -> tuple[SpectralClusterer, torch.Tensor]:
    clusterer = SpectralClusterer(SpectralSettings(**options))
    clusterer.fit(points, k, seed=0)
    return clusterer, clusterer.assign(points).labels


def test_two_moons_are_told_apart() -> None:
    points, moon = moons()
    _, labels = clustered(points, 2)
    assert adjusted_rand_score(moon, labels) > 0.95


def test_digits_are_clustered_as_by_scikit_learn() -> None:
    points = load_digits().data[:500]
    reference = SpectralClustering(10, affinity="nearest_neighbors", n_init=10, random_state=0).fit_predict(points)
    _, labels = clustered(torch.from_numpy(points).float(), 10)
    assert adjusted_rand_score(reference, labels) > 0.97


def test_the_graph_is_that_of_scikit_learn() -> None:
    points, _ = moons()
    directed = kneighbors_graph(points.numpy(), 8, include_self=True).toarray()
    expected = (directed + directed.T) / 2
    np.fill_diagonal(expected, 0)
    np.testing.assert_array_equal(neighbour_graph(points, 8).toarray(), expected)


@pytest.mark.parametrize("dense", [0, 1000])
def test_eigenvectors_solve_the_normalised_cut(monkeypatch: pytest.MonkeyPatch, dense: int) -> None:
    monkeypatch.setattr(spectral, "DENSE", dense)
    affinity = neighbour_graph(torch.randn(300, 5, generator=torch.Generator().manual_seed(0)), 10)
    embedding = spectral_embedding(affinity, 6, seed=0)
    a = affinity.toarray()
    degree = np.diag(a.sum(axis=1))
    _, expected = eigh(degree - a, degree)  # (D - A) u = λ D u, Shi and Malik's equation 11
    assert np.max(subspace_angles(embedding, expected[:, :6])) < 1e-3
    np.testing.assert_allclose(embedding.T @ degree @ embedding, degree.sum() * np.eye(6), atol=1e-2)


@pytest.mark.parametrize("dense", [0, 1000])
def test_every_part_of_a_graph_has_its_eigenvector(monkeypatch: pytest.MonkeyPatch, dense: int) -> None:
    # Four equal rings apart: eigenvalue 1 four times, the next twice in every ring.
    monkeypatch.setattr(spectral, "DENSE", dense)
    affinity = neighbour_graph(torch.cat([ring(40, 10.0 * i) for i in range(4)]), 3)
    embedding = spectral_embedding(affinity, 6, seed=0)
    indicators = np.repeat(np.eye(4), 40, axis=0)
    assert np.max(subspace_angles(embedding[:, :4], indicators)) < 1e-6
    walk = affinity.toarray() / affinity.sum(axis=1)[:, None]
    second = np.cos(2 * np.pi / 40)  # of a ring of 40 with steps to either side
    np.testing.assert_allclose(walk @ embedding[:, 4:], second * embedding[:, 4:], atol=1e-3)


def test_parts_are_clusters_where_there_are_as_many() -> None:
    points = torch.cat([ring(30), 5 * ring(60), ring(20, 30.0)])
    _, labels = clustered(points, 3, neighbours=4)
    assert adjusted_rand_score([0] * 30 + [1] * 60 + [2] * 20, labels) == 1


def test_more_parts_than_clusters_take_more_neighbours() -> None:
    points = torch.cat([ring(8, 5.0 * i) for i in range(4)] + [ring(8, 100.0 + 5.0 * i) for i in range(4)])
    clusterer, labels = clustered(points, 2, neighbours=4)
    assert clusterer.notes[0] == "16 neighbours, for 4 left more parts than clusters"
    assert adjusted_rand_score([0] * 32 + [1] * 32, labels) == 1


def test_too_many_parts_for_memory_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spectral, "MOST_EDGES", 64 * 7)
    points = torch.cat([ring(8, 4.0 * i) for i in range(8)])
    with pytest.raises(ClusteringError, match="the graph of 4 neighbours falls into 8 parts, more than k = 2"):
        clustered(points, 2, neighbours=4)


def test_eigenvectors_that_are_not_found_are_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spectral, "DENSE", 0)
    monkeypatch.setattr(spectral, "RESTARTS", 1)
    with pytest.raises(ClusteringError, match="of 300 points were not found in 1 restarts"):
        clustered(ring(300), 3, neighbours=3)


def test_fewer_different_points_than_clusters() -> None:
    clusterer, labels = clustered(torch.zeros(20, 2), 3)
    assert clusterer.clusters <= 3
    assert clusterer.arrays["labels"].unique().tolist() == list(range(clusterer.clusters))
    assert labels.unique().numel() == 1  # equal points cannot be told apart
    assert bool(torch.isfinite(clusterer.centroids).all())
