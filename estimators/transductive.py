"""Clusterers that label the points they are fitted on and no others: a subset, and an extension by neighbours."""

from __future__ import annotations

from abc import abstractmethod
from typing import NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from estimators.base import Clusterer, Clustering, check_points
from estimators.extension import EXTENSION, nearest_label
from estimators.on_device import where_float64_is


class Partition(NamedTuple):
    """The clusters of the points of a fit, on the CPU.

    Attributes:
        labels: (n,), int64, 0 to clusters - 1, every cluster with points.
        findings: what the notes need to know, by name.
    """

    labels: Int64[Tensor, " n"]
    findings: dict[str, Tensor]


class TransductiveClusterer(Clusterer):
    """Partitions at most `subset` points, drawn at random; every other point goes with its nearest neighbour.

    Attributes:
        title: of the clusterer, as it begins messages.
        subset: the most points that a fit takes.
    """

    on_device = False
    """Whether `partition` works where the points are. Otherwise it is given them on the CPU."""

    def __init__(self, title: str, subset: int) -> None:
        super().__init__()
        self.title = title
        self.subset = subset

    @abstractmethod
    def partition(self, points: Float[Tensor, "n d"], k: int, seed: int) -> Partition:
        """The clusters of finite points.

        Raises:
            ClusteringError: when the points cannot be clustered as asked.
        """

    @property
    @abstractmethod
    def findings(self) -> tuple[str, ...]:
        """Notes on what the fit found."""

    def fit(self, points: Float[Tensor, "n d"], k: int, seed: int) -> None:
        check_points(self.title, points)
        drawn = points[draw(len(points), self.subset, seed).to(points.device)].float()
        fitted = drawn.cpu()
        labels, findings = self.partition(where_float64_is(drawn) if self.on_device else fitted, k, seed)
        self.arrays = {
            **findings,
            "points": fitted,
            "labels": labels,
            "centroids": means(fitted, labels),
            "total": torch.tensor(len(points)),
        }

    def assign(self, points: Float[Tensor, "m d"]) -> Clustering:
        check_points(self.title, points)
        return Clustering(nearest_label(points, self.arrays["points"], self.arrays["labels"]))

    @property
    def notes(self) -> tuple[str, ...]:
        if not self.is_fitted:
            return (EXTENSION,)
        drawn, total = len(self.arrays["points"]), int(self.arrays["total"])
        subset = (f"fitted on {drawn:,} of {total:,} images drawn at random",) if drawn < total else ()
        return (*self.findings, *subset, EXTENSION)


def draw(n: int, subset: int, seed: int) -> Int64[Tensor, " m"]:
    """At most `subset` of the numbers 0 to n - 1 at random, ascending."""
    if n <= subset:
        return torch.arange(n)
    return torch.randperm(n, generator=torch.Generator().manual_seed(seed))[:subset].sort().values


def means(points: Float[Tensor, "n d"], labels: Int64[Tensor, " n"]) -> Float[Tensor, "k d"]:
    """The mean of every cluster's points, float32, from sums in float64. Every cluster must have points."""
    counts = labels.bincount()
    sums = torch.zeros(len(counts), points.shape[1], dtype=torch.float64).index_add_(0, labels, points.double())
    return (sums / counts[:, None]).float()
