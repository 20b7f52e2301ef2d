"""What is fitted to points: the contracts of clusterers and of reductions, and what they ask of their input.

Points may lie on any device. On the CPU the work is done by faiss, scikit-learn, scipy and torch, and its answers are
the reference. Points on another device are fitted, assigned, transformed and judged there by torch, with the same
answers but for rounding. An estimator that has no such form, or whose device lacks float64, takes its points to the
CPU itself, once.

* `arrays` are on the CPU, copied there once at the end of a fit.
* Labels and probabilities are the end of the way: `assign` answers on the CPU.
* What a reducer makes of points goes on to the next part: `transform` answers on the device of its points.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn


class FittedArrays(nn.Module):
    """Arrays whose shapes are known only after the fit. They are part of the state dict and stay on the CPU.

    Attributes:
        arrays: by name; empty before the fit.
    """

    def __init__(self) -> None:
        super().__init__()
        self.arrays: dict[str, Tensor] = {}

    @property
    def is_fitted(self) -> bool:
        return bool(self.arrays)

    def get_extra_state(self) -> dict[str, Tensor]:
        return dict(self.arrays)

    def set_extra_state(self, state: dict[str, Tensor]) -> None:
        self.arrays = dict(state)


class LaterArrays(FittedArrays):
    """Arrays that states of before there were any are without: loaded from such a one, they are empty."""

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        state_dict.setdefault(f"{prefix}_extra_state", {})
        super()._load_from_state_dict(state_dict, prefix, *args)


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
    """Fits points, then assigns any points. n points, d dimensions, on any device.

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
        """The clusters of any points, on the CPU, the same for one batch or many. A point of the fit keeps its
        cluster."""

    @property
    def clusters(self) -> int:
        """Labels run from 0 to this number less one. 0 before the fit."""
        return len(self.centroids) if self.is_fitted else 0

    @property
    def noise_cluster(self) -> int | None:
        """The label of the points that lie in no cluster; None where every point lies in one."""
        return None

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


class RepresentationError(Exception):
    """Points that cannot be represented as asked. The message is for the person who asked."""


class Reducer(FittedArrays, ABC):
    """From points in d dimensions to points in fewer, on any device. All that a fit leaves behind is in `arrays`."""

    places_its_points = False
    """Whether the fit gives its own points places that `transform` finds again by what the points are."""

    @abstractmethod
    def fit(self, points: Float[Tensor, "n d"], seed: int) -> None:
        """Learn from `points`. Deterministic given points and seed, unless its settings say otherwise.

        Raises:
            RepresentationError: when the points cannot be reduced as asked.
        """

    @abstractmethod
    def transform(self, points: Float[Tensor, "m d"]) -> Float[Tensor, "m e"]:
        """Any points, float32, on their device. One batch or many, the answer is the same; a point of the fit keeps its
        place."""

    @property
    @abstractmethod
    def title(self) -> str:
        """Its name for tables, short: "PCA 83-d"."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What a table must say of it: threads and seed, the extension to new points. Short, no full stop."""
        return ()


def check_points(name: str, points: Float[Tensor, "n d"]) -> None:
    """Refuse points that hold NaN or infinity.

    Args:
        name: of the clusterer, as it begins the message.
    """
    if not bool(torch.isfinite(points).all()):
        bad = int((~torch.isfinite(points)).any(dim=1).sum())
        raise ClusteringError(
            f"{name} needs finite points; received NaN or infinity in {bad:,} of {len(points):,}. "
            "Look at the step that made these points."
        )


def check_clusters(name: str, points: Float[Tensor, "n d"], k: int) -> None:
    """Refuse points that hold NaN or infinity, and a k outside 2 to n."""
    if not 2 <= k <= len(points):
        raise ClusteringError(f"{name} needs 2 to {len(points)} clusters for {len(points)} points; received k = {k}.")
    check_points(name, points)
