"""KMeans as a clusterer of points."""

from __future__ import annotations

from typing import final

from jaxtyping import Float
from torch import Tensor

from clusterers.base import Clusterer, Clustering
from clusterers.checks import check_points
from clusterers.kmeans import inertia, kmeans, nearest_centroid
from clusterers.settings import KMeansClustererSettings


@final
class KMeansClusterer(Clusterer):
    """KMeans on all points, the best of several runs; every point goes with its nearest centroid."""

    def __init__(self, settings: KMeansClustererSettings) -> None:
        super().__init__()
        self.settings = settings

    def fit(self, points: Float[Tensor, "n d"], k: int, seed: int) -> None:
        self.arrays = {"centroids": kmeans(points, k, self.settings, seed).centroids}

    def assign(self, points: Float[Tensor, "m d"]) -> Clustering:
        check_points("KMeans", points)
        return Clustering(nearest_centroid(points, self.centroids)[0])

    def criteria(self, points: Float[Tensor, "m d"]) -> dict[str, float]:
        """inertia: the sum of squared distances to the nearest centroid, in float64."""
        return {"inertia": inertia(points, self.centroids)}
