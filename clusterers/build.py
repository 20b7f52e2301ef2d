"""From settings to a clusterer. A new one is one entry here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from clusterers.agglomerative import AgglomerativeClusterer
from clusterers.base import Clusterer
from clusterers.density import DBSCANClusterer, HDBSCANClusterer
from clusterers.kmeans_clusterer import KMeansClusterer
from clusterers.mixture import GMMClusterer
from clusterers.settings import ClustererSettings
from clusterers.som import SOMClusterer
from clusterers.spectral import SpectralClusterer

CLUSTERERS: dict[str, Callable[[Any], Clusterer]] = {
    "kmeans": KMeansClusterer,
    "gmm": GMMClusterer,
    "agglomerative": AgglomerativeClusterer,
    "spectral": SpectralClusterer,
    "dbscan": DBSCANClusterer,
    "hdbscan": HDBSCANClusterer,
    "som": SOMClusterer,
}


def build_clusterer(settings: ClustererSettings) -> Clusterer:
    """The clusterer that `settings` describe, not fitted yet."""
    return CLUSTERERS[settings.name](settings)
