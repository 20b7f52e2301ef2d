"""From settings to a clusterer. A new one is one entry here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from estimators.agglomerative import AgglomerativeClusterer
from estimators.base import Clusterer
from estimators.density import DBSCANClusterer, HDBSCANClusterer
from estimators.kmeans import KMeansClusterer
from estimators.mixture import GMMClusterer
from estimators.settings import ClustererSettings
from estimators.som import SOMClusterer
from estimators.spectral import SpectralClusterer

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
