"""What every clusterer of points promises."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple

from jaxtyping import Float, Int64
from torch import Tensor

from storage.arrays import FittedArrays


class ClusteringError(Exception):
    """Points that cannot be clustered as asked. The message is for the person who asked."""


class Clustering(NamedTuple):
    """The clusters of n points.

    Attributes:
        labels: (n,), int64, 0 to `clusters` - 1.
        probabilities: (n, clusters), float32, rows sum to 1 and are largest at the label; None where there are none.
    """

    labels: Int64[Tensor, " n"]
    probabilities: Float[Tensor, "n k"] | None = None


class Clusterer(FittedArrays, ABC):
    """Fits points, then assigns any points. n points, d dimensions, all on the CPU.

    All that a fit leaves behind is in `arrays`, so that it is saved and loaded with the state dict.
    `arrays["centroids"]` is (clusters, d), float32: the mean of every cluster's points where the clusterer has no
    centroid of its own.
    """

    @abstractmethod
    def fit(self, points: Float[Tensor, "n d"], k: int, seed: int) -> None:
        """Cluster `points`. Deterministic given points, k and seed, whatever the number of threads.

        Raises:
            ClusteringError: when the points cannot be clustered as asked.
        """

    @abstractmethod
    def assign(self, points: Float[Tensor, "m d"]) -> Clustering:
        """The clusters of any points, the same for one batch or many. A point of the fit keeps its cluster."""

    @property
    def clusters(self) -> int:
        """Labels run from 0 to this number less one. 0 before the fit."""
        return len(self.centroids) if self.is_fitted else 0

    @property
    def centroids(self) -> Float[Tensor, "k d"]:
        """The centre of every cluster."""
        return self.arrays["centroids"]

    def criteria(self, points: Float[Tensor, "m d"]) -> dict[str, float]:
        """What the clusterer's own criterion says of `points`, by name: inertia, log_likelihood, bic."""
        return {}

    @property
    def notes(self) -> tuple[str, ...]:
        """What a table must say of it: a subset, the extension to other points. Short, no full stop."""
        return ()
