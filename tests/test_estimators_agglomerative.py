"""Agglomerative clustering against scipy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import pdist
from sklearn.metrics import adjusted_rand_score

from estimators.agglomerative import AgglomerativeClusterer, cut, pairwise_distances
from estimators.settings import AgglomerativeSettings


def normal(n: int, d: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("method", ["ward", "average", "complete"])
@pytest.mark.parametrize("k", [2, 7, 120])
def test_clusters_are_those_of_scipy(method: str, k: int) -> None:
    points = normal(120, 5)
    clusterer = AgglomerativeClusterer(AgglomerativeSettings.model_validate({"linkage": method}))
    clusterer.fit(points, k, seed=0)
    expected = fcluster(linkage(points.double().numpy(), method), k, "maxclust")
    assert adjusted_rand_score(expected, clusterer.assign(points).labels) == 1
    assert clusterer.clusters == k


def test_linkages_differ() -> None:
    labels = set()
    for method in ("ward", "average", "complete"):
        clusterer = AgglomerativeClusterer(AgglomerativeSettings.model_validate({"linkage": method}))
        clusterer.fit(normal(120, 5), 7, seed=0)
        labels.add(tuple(clusterer.assign(normal(120, 5)).labels.tolist()))
    assert len(labels) == 3


def test_distances_are_those_of_scipy() -> None:
    points = normal(600, 7) + 50  # more than two blocks
    np.testing.assert_allclose(pairwise_distances(points), pdist(points.double().numpy()), rtol=1e-9)


def test_a_cut_by_hand() -> None:
    merges = torch.tensor([[1, 3], [0, 2], [4, 6], [5, 7]])  # clusters 5 to 8 of points 0 to 4
    assert cut(merges, 5).tolist() == [0, 1, 2, 3, 4]
    assert cut(merges, 4).tolist() == [0, 1, 2, 1, 3]
    assert cut(merges, 3).tolist() == [0, 1, 0, 1, 2]
    assert cut(merges, 2).tolist() == [0, 1, 0, 1, 0]


@given(n=st.integers(2, 30), share=st.floats(0, 1), seed=st.integers(0, 99))
def test_a_cut_has_k_clusters_even_where_heights_are_equal(n: int, share: float, seed: int) -> None:
    k = 2 + round(share * (n - 2))
    points = torch.randint(3, (n, 2), generator=torch.Generator().manual_seed(seed)).float()
    merges = linkage(pairwise_distances(points), "average")[:, :2].astype(np.int64)
    labels = cut(torch.from_numpy(merges), k)
    assert labels.unique().tolist() == list(range(k))
    assert labels[0] == 0


def test_centroids_are_means() -> None:
    points = normal(50, 3)
    clusterer = AgglomerativeClusterer(AgglomerativeSettings())
    clusterer.fit(points, 4, seed=0)
    labels = clusterer.assign(points).labels
    means = torch.stack([points[labels == cluster].mean(dim=0) for cluster in range(4)])
    torch.testing.assert_close(clusterer.centroids, means)
