"""Agglomerative clustering: every point begins as a cluster of its own, and the closest two clusters merge.

Sources: Ward, "Hierarchical Grouping to Optimize an Objective Function", 1963; the nearest-neighbour chain of
Murtagh, "A Survey of Recent Advances in Hierarchical Clustering Algorithms", 1983, as scipy has it.
"""

from __future__ import annotations

from typing import final

import numpy as np
import torch
from jaxtyping import Float, Float64, Int64
from scipy.cluster.hierarchy import linkage
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from torch import Tensor

from estimators.base import check_clusters
from estimators.settings import AgglomerativeSettings
from estimators.transductive import Partition, TransductiveClusterer

BLOCK = 256  # rows of the distance matrix at a time


@final
class AgglomerativeClusterer(TransductiveClusterer):
    """Ward's, average or complete linkage of Euclidean distances, cut at k clusters.

    It holds all distances between n points twice, in float64: 8 n² bytes, 3.2 GB for 20,000.
    """

    def __init__(self, settings: AgglomerativeSettings) -> None:
        super().__init__("Agglomerative clustering", settings.subset)
        self.settings = settings

    def partition(self, points: Float[Tensor, "n d"], k: int, seed: int) -> Partition:
        check_clusters(self.title, points, k)
        merges = linkage(pairwise_distances(points), self.settings.linkage)
        return Partition(cut(torch.from_numpy(merges[:, :2].astype(np.int64)), k), {})

    @property
    def findings(self) -> tuple[str, ...]:
        return ()


def pairwise_distances(points: Float[Tensor, "n d"]) -> Float64[np.ndarray, " pairs"]:
    """Euclidean distances of all pairs i < j, row after row, as scipy takes them."""
    n = len(points)
    x = points.double()
    x = x - x.mean(dim=0)
    squared = x.square().sum(dim=1)
    distances = np.empty(n * (n - 1) // 2)
    filled = 0
    for first in range(0, n, BLOCK):
        rows = slice(first, first + BLOCK)
        block = (squared[rows, None] + squared[first:] - 2 * x[rows] @ x[first:].T).clamp_(min=0).sqrt_().numpy()
        for row, distance in enumerate(block):
            others = distance[row + 1 :]
            distances[filled : filled + len(others)] = others
            filled += len(others)
    return distances


def cut(merges: Int64[Tensor, "merges 2"], k: int) -> Int64[Tensor, " n"]:
    """The k clusters before the last k - 1 merges, numbered in the order of their first points.

    Args:
        merges: the two clusters of every merge, nearest first. Clusters 0 to n - 1 are the points; merge i makes
            cluster n + i.
    """
    n = len(merges) + 1
    done = merges[: n - k].numpy()
    made = n + np.arange(len(done)).repeat(2)
    graph = coo_array((np.ones(len(made), dtype=np.int8), (made, done.flatten())), shape=(2 * n - k, 2 * n - k))
    _, component = connected_components(graph, directed=False)
    _, first, labels = np.unique(component[:n], return_index=True, return_inverse=True)
    return torch.from_numpy(first.argsort().argsort()[labels])
