"""Clusters as dense regions, as many as there are: DBSCAN and HDBSCAN.

Sources: see clusterers/dbscan.py; Campello, Moulavi, Sander, "Density-Based Clustering Based on Hierarchical Density
Estimates", PAKDD 2013.
"""

from __future__ import annotations

from typing import final

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from clusterers.base import ClusteringError
from clusterers.dbscan import NOISE, core_distances, dbscan, knee
from clusterers.settings import DBSCANSettings, HDBSCANSettings
from clusterers.transductive import Partition, TransductiveClusterer


@final
class DBSCANClusterer(TransductiveClusterer):
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
class HDBSCANClusterer(TransductiveClusterer):
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
