"""From settings to a clusterer. A new one is one entry here.

Each is imported when it is built: together they take a second.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from estimators.base import Clusterer
from estimators.settings import ClustererSettings


def _kmeans(settings: Any) -> Clusterer:
    from estimators.kmeans import KMeansClusterer

    return KMeansClusterer(settings)


def _gmm(settings: Any) -> Clusterer:
    from estimators.mixture import GMMClusterer

    return GMMClusterer(settings)


def _agglomerative(settings: Any) -> Clusterer:
    from estimators.agglomerative import AgglomerativeClusterer

    return AgglomerativeClusterer(settings)


def _spectral(settings: Any) -> Clusterer:
    from estimators.spectral import SpectralClusterer

    return SpectralClusterer(settings)


def _dbscan(settings: Any) -> Clusterer:
    from estimators.density import DBSCANClusterer

    return DBSCANClusterer(settings)


def _hdbscan(settings: Any) -> Clusterer:
    from estimators.density import HDBSCANClusterer

    return HDBSCANClusterer(settings)


def _som(settings: Any) -> Clusterer:
    from estimators.som import SOMClusterer

    return SOMClusterer(settings)


CLUSTERERS: dict[str, Callable[[Any], Clusterer]] = {
    "kmeans": _kmeans,
    "gmm": _gmm,
    "agglomerative": _agglomerative,
    "spectral": _spectral,
    "dbscan": _dbscan,
    "hdbscan": _hdbscan,
    "som": _som,
}


def build_clusterer(settings: ClustererSettings) -> Clusterer:
    """The clusterer that `settings` describe, not fitted yet."""
    return CLUSTERERS[settings.name](settings)
