"""Clusters as dense regions, as many as there are: DBSCAN and HDBSCAN.

DBSCAN goes block by block: its memory does not grow with the radius. scikit-learn's holds all neighbours of all points
at once.

Sources: Ester, Kriegel, Sander, Xu, "A Density-Based Algorithm for Discovering Clusters in Large Spatial Databases
with Noise", KDD 1996; the bend of a curve: Satopää et al., "Finding a 'Kneedle' in a Haystack", ICDCSW 2011; Campello,
Moulavi, Sander, "Density-Based Clustering Based on Hierarchical Density Estimates", PAKDD 2013.
"""

from __future__ import annotations

from typing import final

import faiss
import numpy as np
import torch  # first: torch and faiss each bring an OpenMP, and on macOS torch's must be loaded first
from jaxtyping import Float, Float64, Int, Int64
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from torch import Tensor

from estimators.base import ClusteringError
from estimators.extension import nearest, without_products
from estimators.settings import DBSCANSettings, HDBSCANSettings
from estimators.transductive import Partition, TransductiveClusterer

BLOCK = 256  # points whose neighbours are held at a time: 12 bytes each, 180 MB at most among 60,000
NOISE = -1


def core_distances(points: Float[Tensor, "n d"], count: int) -> Float64[Tensor, " n"]:
    """Distance of every point to its `count`-th nearest, itself the first; infinite with fewer points than that."""
    if count > len(points):
        return torch.full((len(points),), torch.inf, dtype=torch.float64)
    return nearest(points, points, count)[0][:, -1].sqrt()


def knee(values: Float64[Tensor, " n"]) -> float:
    """The value where the ascending curve of `values` lies farthest below its chord, both axes scaled to 0 to 1."""
    curve = values.sort().values
    height = curve[-1] - curve[0]
    if height == 0:
        return float(curve[0])
    share = torch.linspace(0, 1, len(curve), dtype=torch.float64)
    return float(curve[(share - (curve - curve[0]) / height).argmax()])


def dbscan(points: Float[Tensor, "n d"], core: Float64[Tensor, " n"], radius: float) -> Int64[Tensor, " n"]:
    """The cluster of every point, 0 to clusters - 1 in the order of their first core points, or NOISE.

    Points whose core distance is at most `radius` are core points; those within `radius` of each other share a
    cluster. Of the others each goes with its nearest core point if that is within `radius`; the paper takes whichever
    cluster comes first, which depends on the order of the points. Clusters join by float32 distances.

    Args:
        points: finite values.
        core: `core_distances` of the points.
        radius: 0 or more.
    """
    labels = torch.full((len(points),), NOISE)
    is_core = core <= radius
    if not bool(is_core.any()):
        return labels
    labels[is_core] = linked(points[is_core], radius)
    others = (~is_core).nonzero()[:, 0]
    squared, neighbour = nearest(points[others], points[is_core], 1)
    near = squared[:, 0].sqrt() <= radius
    labels[others[near]] = labels[is_core][neighbour[near, 0]]
    return labels


def linked(points: Float[Tensor, "n d"], radius: float) -> Int64[Tensor, " n"]:
    """Connected components of the graph that joins points within `radius`, in the order of their first points."""
    x = points.float().contiguous().numpy()
    index = faiss.IndexFlatL2(x.shape[1])
    index.add(x)
    n = len(x)
    component: Int[np.ndarray, " n"] = np.arange(n)
    limit = float(np.nextafter(np.float32(radius**2), np.float32(np.inf)))  # faiss keeps distances below the limit
    for first in range(0, n, BLOCK):
        with without_products():
            ends, _, neighbours = index.range_search(x[first : first + BLOCK], limit)
        ours = component[first + np.arange(len(ends) - 1).repeat(np.diff(ends).astype(np.int64))]
        theirs = component[neighbours]
        apart = ours != theirs
        if apart.any():
            links = coo_array((np.ones(apart.sum(), dtype=np.int8), (ours[apart], theirs[apart])), shape=(n, n))
            component = connected_components(links, directed=False)[1][component]
    _, start, place = np.unique(component, return_index=True, return_inverse=True)
    return torch.from_numpy(start.argsort().argsort()[place])


class DensityClusterer(TransductiveClusterer):
    """Finds the number of clusters, and leaves points out of all of them: noise, which is the last label."""

    @property
    def noise_cluster(self) -> int | None:
        return self.clusters - 1 if self.is_fitted and int(self.arrays["noise"]) > 0 else None


@final
class DBSCANClusterer(DensityClusterer):
    """Regions where points have enough neighbours within a radius. It finds the number of clusters; k is ignored."""

    def __init__(self, settings: DBSCANSettings) -> None:
        super().__init__("DBSCAN", settings.subset)
        self.settings = settings

    def partition(self, points: Float[Tensor, "n d"], k: int, seed: int) -> Partition:
        core = core_distances(points, self.settings.points)
        if self.settings.radius is not None:
            radius = self.settings.radius
        elif bool(torch.isfinite(core).all()):
            radius = knee(core)
        else:
            raise ClusteringError(
                f"DBSCAN finds its radius from distances to the {self.settings.points}-th point, but there are "
                f"{len(points)}. Set points to {len(points)} or less, or give a radius."
            )
        found = dbscan(points, core, radius)
        return Partition(
            noise_last(found), {"noise": count_noise(found), "radius": torch.tensor(radius, dtype=torch.float64)}
        )

    @property
    def findings(self) -> tuple[str, ...]:
        chosen = (f"radius {float(self.arrays['radius']):.3g}, the bend of the {self.settings.points}-distances",)
        return (findings_of(self.arrays), *(chosen if self.settings.radius is None else ()))


@final
class HDBSCANClusterer(DensityClusterer):
    """Dense regions that persist over many radii. It finds the number of clusters; k is ignored."""

    def __init__(self, settings: HDBSCANSettings) -> None:
        super().__init__("HDBSCAN", settings.subset)
        self.settings = settings

    def partition(self, points: Float[Tensor, "n d"], k: int, seed: int) -> Partition:
        smallest = max(round(self.settings.smallest * len(points)), 2)
        if not self.settings.points <= len(points) or len(points) < 2:
            raise ClusteringError(
                f"HDBSCAN measures density by {self.settings.points} neighbours, but there are {len(points)} points. "
                f"Set points to {len(points)} or less."
            )
        from sklearn.cluster import HDBSCAN  # here, since it takes seconds that other methods need not spend

        model = HDBSCAN(min_cluster_size=smallest, min_samples=self.settings.points, copy=True)
        found = torch.from_numpy(model.fit_predict(points.double().numpy())).long()
        return Partition(noise_last(found), {"noise": count_noise(found)})

    @property
    def findings(self) -> tuple[str, ...]:
        return (findings_of(self.arrays),)


def noise_last(found: Int64[Tensor, " n"]) -> Int64[Tensor, " n"]:
    """Noise as one more cluster, after those found."""
    return found.where(found != NOISE, found.max() + 1)


def count_noise(found: Int64[Tensor, " n"]) -> Int64[Tensor, ""]:
    return (found == NOISE).sum()


def findings_of(arrays: dict[str, Tensor]) -> str:
    """ "found 7 clusters and noise (12 % of the images)", of the images of the fit."""
    noise, clusters = int(arrays["noise"]), len(arrays["centroids"])
    if noise == 0:
        return f"found {clusters} {'cluster' if clusters == 1 else 'clusters'} and no noise"
    share = f"noise ({noise / len(arrays['labels']):.0%} of the images)".replace("%", " %")
    if clusters == 1:
        return f"found no cluster, only {share}"
    return f"found {clusters - 1} {'cluster' if clusters == 2 else 'clusters'} and {share}"
