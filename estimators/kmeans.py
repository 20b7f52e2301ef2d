"""KMeans: k-means++ initialisation, the best of several runs; by faiss on the CPU, by torch on other devices.

Sources: Lloyd, "Least squares quantization in PCM", 1982; Arthur, Vassilvitskii, "k-means++: The Advantages of
Careful Seeding", SODA 2007.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import faiss
import numpy as np
import torch  # first: torch and faiss each bring an OpenMP, and on macOS torch's must be loaded first
from jaxtyping import Float, Int64
from torch import Tensor

from configs.schema import KMeansSettings
from estimators.base import Clusterer, Clustering, check_clusters, check_points
from estimators.extension import nearest
from estimators.kmeans_on_device import kmeans_on_device
from estimators.on_device import is_cpu, where_float64_is
from estimators.settings import KMeansClustererSettings
from estimators.transductive import draw

COARSE = 64
"""Points in many more dimensions than this are first clustered on so many principal axes, where an iteration costs a
fraction; the outcome is where the iterations in all dimensions begin. Nearly all that tells clusters apart lies there
(Ding, He, "K-means Clustering via Principal Component Analysis", ICML 2004), so few of those are needed."""
COARSE_STARTS = 2
"""So many times as many starts are made there, where each costs about a tenth."""
COARSE_TOLERANCE, TOLERANCE = 1e-5, 1e-6
"""A start ends when an iteration lowers its inertia by less than this share."""
SAMPLE = 300_000
"""More points than these are represented by so many of them, drawn at random."""
LAST_ITERATIONS = 1
"""Over all points, where the centroids were found on a sample (docs/benchmarks.md has what the sample costs)."""


@dataclass(frozen=True)
class KMeansFit:
    """The outcome of KMeans, on the CPU.

    Attributes:
        centroids: (k, d), float32.
        labels: (n,), int64, the nearest centroid of every point.
        inertia: sum of squared distances to the nearest centroid, summed in float64.
    """

    centroids: Float[Tensor, "k d"]
    labels: Int64[Tensor, " n"]
    inertia: float


def kmeans(
    points: Float[Tensor, "n d"],
    k: int,
    settings: KMeansSettings,
    seed: int,
    start: Float[Tensor, "k d"] | None = None,
) -> KMeansFit:
    """Cluster all `points` into k clusters.

    It runs where the points are: on the CPU by faiss, on another device by `kmeans_on_device`. More than `SAMPLE`
    points are clustered by a sample, with a last iteration over all of them. Labels and inertia are those of all.

    Args:
        points: finite values.
        k: number of clusters, 2 to n.
        settings: restarts and iterations.
        seed: of the random initialisations.
        start: the centroids to begin at, in one run; clusters keep their numbers. None: `redos` random starts.

    Raises:
        ClusteringError: when k exceeds the number of points, or a value is not finite.
    """
    check_clusters("KMeans", points, k)
    points = where_float64_is(points)
    x = points.float().contiguous()
    if len(x) <= SAMPLE:
        centroids = _centroids(x, k, settings, seed, start)
    else:
        centroids = _centroids(x[draw(len(x), SAMPLE, seed).to(x.device)], k, settings, seed, start)
        last = settings.model_copy(update={"iterations": LAST_ITERATIONS})
        centroids = _centroids(x, k, last, seed, centroids)
    labels, squared = nearest_centroid(points, centroids)
    return KMeansFit(centroids.cpu(), labels.cpu(), float(squared.sum(dtype=torch.float64)))


def _centroids(
    x: Float[Tensor, "n d"], k: int, settings: KMeansSettings, seed: int, start: Float[Tensor, "k d"] | None
) -> Float[Tensor, "k d"]:
    """The best centroids for these points, on their device."""
    if not is_cpu(x):
        start = None if start is None else start.to(x)
        return kmeans_on_device(x, k, settings, seed, TOLERANCE, start)
    if start is None and x.shape[1] > 2 * COARSE and len(x) > 2 * COARSE:
        coarse, basis, mean = _project(x, seed)
        more = settings.model_copy(update={"redos": COARSE_STARTS * settings.redos})
        start = _faiss_kmeans(coarse, k, more, seed, COARSE_TOLERANCE) @ basis.T + mean
    return _faiss_kmeans(x, k, settings, seed, TOLERANCE, start)


def _project(
    points: Float[Tensor, "n d"], seed: int
) -> tuple[Float[Tensor, "n q"], Float[Tensor, "d q"], Float[Tensor, " d"]]:
    """The points on their leading principal axes, the axes and the mean."""
    mean = points.mean(dim=0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)  # the axes are found by random projections (Halko et al., 2011)
        _, _, basis = torch.pca_lowrank(points, q=COARSE)
    return (points - mean) @ basis, basis, mean


def _faiss_kmeans(
    points: Float[Tensor, "n d"],
    k: int,
    settings: KMeansSettings,
    seed: int,
    tolerance: float,
    start: Float[Tensor, "k d"] | None = None,
) -> Float[Tensor, "k d"]:
    """The centroids of the best of so many starts, or those that `start` leads to."""
    model = faiss.Kmeans(
        points.shape[1],
        k,
        niter=settings.iterations,
        nredo=settings.redos if start is None else 1,
        seed=seed % (2**31 - 1) + 1,  # faiss takes 0 for a seed of its own choice, and no more than 31 bits
        # faiss trains on 256 k points and complains below 39 k unless told otherwise.
        min_points_per_centroid=1,
        max_points_per_centroid=len(points),
        init_method=faiss.ClusteringInitMethod_KMEANS_PLUS_PLUS,
        early_stop_threshold=tolerance,
    )
    model.train(
        np.ascontiguousarray(points.numpy()),
        init_centroids=None if start is None else np.ascontiguousarray(start.numpy()),
    )
    return torch.from_numpy(np.array(model.centroids))


def inertia(points: Float[Tensor, "n d"], centroids: Float[Tensor, "k d"]) -> float:
    """The sum over points of the squared distance to the nearest centroid, summed in float64: what KMeans minimises."""
    _, squared = nearest_centroid(points, centroids)
    return float(squared.sum(dtype=torch.float64))


def nearest_centroid(
    points: Float[Tensor, "n d"], centroids: Float[Tensor, "k d"]
) -> tuple[Int64[Tensor, " n"], Float[Tensor, " n"]]:
    """Label and squared distance of the nearest centroid, independent of how points are batched; as `nearest` has it,
    on the points' device."""
    squared, label = nearest(points, centroids, 1)
    return label[:, 0], squared[:, 0].float()


@final
class KMeansClusterer(Clusterer):
    """KMeans, the best of several runs; every point goes with its nearest centroid.

    Arrays, besides the centroids: sample, how many points the fit was made on, where it was not made on all.
    """

    def __init__(self, settings: KMeansClustererSettings) -> None:
        super().__init__()
        self.settings = settings

    def fit(self, points: Float[Tensor, "n d"], k: int, seed: int) -> None:
        self.arrays = {"centroids": kmeans(points, k, self.settings, seed).centroids}
        if len(points) > SAMPLE:
            self.arrays["sample"] = torch.tensor(SAMPLE)

    def assign(self, points: Float[Tensor, "m d"]) -> Clustering:
        check_points("KMeans", points)
        return Clustering(nearest_centroid(points, self.centroids)[0].cpu())

    def criteria(self, points: Float[Tensor, "m d"]) -> dict[str, float]:
        """inertia: the sum of squared distances to the nearest centroid, in float64."""
        return {"inertia": inertia(points, self.centroids)}

    @property
    def notes(self) -> tuple[str, ...]:
        return (f"fitted on a sample of {int(self.arrays['sample']):,}",) if "sample" in self.arrays else ()
