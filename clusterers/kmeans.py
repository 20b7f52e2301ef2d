"""KMeans by faiss: all points, k-means++ initialisation, the best of several runs.

Sources: Lloyd, "Least squares quantization in PCM", 1982; Arthur, Vassilvitskii, "k-means++: The Advantages of
Careful Seeding", SODA 2007.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch  # first: torch and faiss each bring an OpenMP, and on macOS torch's must be loaded first

# isort: split
import faiss
import numpy as np
from jaxtyping import Float, Int64
from torch import Tensor

from clusterers.base import ClusteringError
from configs.schema import KMeansSettings


@dataclass(frozen=True)
class KMeansFit:
    """The outcome of KMeans.

    Attributes:
        centroids: (k, d), float32.
        labels: (n,), int64, the nearest centroid of every point.
        inertia: sum of squared distances to the nearest centroid, summed in float64.
    """

    centroids: Float[Tensor, "k d"]
    labels: Int64[Tensor, " n"]
    inertia: float


def kmeans(points: Float[Tensor, "n d"], k: int, settings: KMeansSettings, seed: int) -> KMeansFit:
    """Cluster all `points` into k clusters.

    Args:
        points: finite values.
        k: number of clusters, 2 to n.
        settings: restarts and iterations.
        seed: of the random initialisations.

    Raises:
        ClusteringError: when k exceeds the number of points, or a value is not finite.
    """
    n = len(points)
    if not 2 <= k <= n:
        raise ClusteringError(f"KMeans needs 2 to {n} clusters for {n} points; received k = {k}.")
    if not bool(torch.isfinite(points).all()):
        raise ClusteringError("KMeans needs finite points; received NaN or infinity.")
    x = np.ascontiguousarray(points.float().numpy())
    model = faiss.Kmeans(
        x.shape[1],
        k,
        niter=settings.iterations,
        nredo=settings.redos,
        seed=seed + 1,  # faiss takes 0 for a seed of its own choice
        # faiss trains on 256 k points and complains below 39 k unless told otherwise.
        min_points_per_centroid=1,
        max_points_per_centroid=n,
        init_method=faiss.ClusteringInitMethod_KMEANS_PLUS_PLUS,
        early_stop_threshold=1e-6,
    )
    model.train(x)
    centroids = torch.from_numpy(np.array(model.centroids))
    labels, squared = nearest_centroid(points, centroids)
    return KMeansFit(centroids, labels, float(squared.sum(dtype=torch.float64)))


def nearest_centroid(
    points: Float[Tensor, "n d"], centroids: Float[Tensor, "k d"]
) -> tuple[Int64[Tensor, " n"], Float[Tensor, " n"]]:
    """Label and squared distance of the nearest centroid, independent of how points are batched."""
    index = faiss.IndexFlatL2(centroids.shape[1])
    index.add(np.ascontiguousarray(centroids.float().numpy()))
    _, labels = index.search(np.ascontiguousarray(points.float().numpy()), 1)
    label = torch.from_numpy(labels[:, 0].copy())
    # The distance once more from differences: faiss expands the square, which loses digits in float32.
    squared = (points.double() - centroids.double()[label]).square().sum(dim=1)
    return label, squared.float()
