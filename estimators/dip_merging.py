"""Clusters of points that are merged in pairs, while the dip test finds one mode where two clusters meet.

Source: Leiber, Bauer, Schelling, Böhm, Plant, "Dip-based Deep Embedded Clustering with k-Estimation", KDD 2021.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64, Int64
from torch import Tensor

from estimators.dip import dip, dip_p_value
from estimators.nearest_on_device import squared_differences

FEWEST = 50
"""Points of both clusters together that a comparison of unequal clusters has at least, where there are so many."""


@dataclass
class DipPartition:
    """A partition of n points into at most c clusters, on the CPU. A cluster keeps its number as long as it lives.

    Attributes:
        labels: (n,), int64, the cluster of every point, a living one.
        centres: (c,), int64, the position of the point that is the cluster's centre.
        alive: (c,), bool, which clusters there are.
        p: (c, c), float32, the p-value of the dip test for every pair of living clusters; 0 elsewhere.
    """

    labels: Int64[Tensor, " n"]
    centres: Int64[Tensor, " c"]
    alive: Bool[Tensor, " c"]
    p: Float[Tensor, "c c"]


def compared(points: Float[Tensor, "n d"], labels: Int64[Tensor, " n"], count: int, factor: float) -> DipPartition:
    """Every pair of clusters tested. A centre is the point nearest to its cluster's mean.

    Args:
        points: finite values, on the CPU.
        labels: their clusters, 0 to count - 1. One without points is not alive.
        count: c.
        factor: as `pair_p_value` has it.
    """
    sizes = torch.bincount(labels, minlength=count)
    sums = torch.zeros(count, points.shape[1], dtype=torch.float64).index_add_(0, labels, points.double())
    means = (sums / sizes.clamp_min(1).unsqueeze(1)).to(points.dtype)
    centres, alive = _nearest_points(means, points), sizes > 0
    found = DipPartition(labels, centres, alive, torch.zeros(count, count))
    members = _members(points, labels, count)
    for pair in combinations(alive.nonzero().flatten().tolist(), 2):
        _compare(found, pair, points, members, factor)
    return found


def merge_alike(found: DipPartition, points: Float[Tensor, "n d"], threshold: float, factor: float) -> int:
    """Merge the pair of the largest p-value, as long as that is `threshold` or more; how many merges there were.

    The new centre is the point nearest to the mean of both centres, weighted by the sizes of the clusters. The merged
    cluster has the lower of the two numbers, and is compared with all others anew.

    Args:
        found: changed in place.
        points: as `compared` had them.
        threshold: above 0, at most 1.
        factor: as `pair_p_value` has it.
    """
    count, merges = len(found.alive), 0
    while int(found.alive.sum()) > 1 and float(found.p.max()) >= threshold:
        kept, gone = sorted(divmod(int(found.p.argmax()), count))
        sizes = torch.bincount(found.labels, minlength=count)[[kept, gone]].to(points.dtype)
        mean = (sizes / sizes.sum()) @ points[found.centres[[kept, gone]]]
        found.labels = torch.where(found.labels == gone, kept, found.labels)
        found.centres[kept] = _nearest_points(mean.unsqueeze(0), points)[0]
        found.alive[gone] = False
        found.p[gone] = found.p[:, gone] = 0
        members = _members(points, found.labels, count)
        for other in found.alive.nonzero().flatten().tolist():
            if other != kept:
                _compare(found, (kept, other), points, members, factor)
        merges += 1
    return merges


def pair_p_value(
    first: Float64[np.ndarray, "n d"],
    second: Float64[np.ndarray, "m d"],
    centres: Float64[np.ndarray, "2 d"],
    factor: float,
) -> float:
    """How well one mode explains two clusters on the axis between their centres, from 0 to 1.

    A small cluster beside a large one would pass for its tail. So where one has more than `factor` times as many points
    as the other, they are tested once more with so many of its points as lie nearest to the other's centre. The smaller
    p-value counts.

    Args:
        first: points of a cluster.
        second: of another.
        centres: of both.
        factor: above 0.
    """
    axis = centres[0] - centres[1]
    p = _p_on(axis, first, second)
    (large, small), centre = (
        ((first, second), centres[1]) if len(first) > len(second) else ((second, first), centres[0])
    )
    if len(large) <= factor * len(small):
        return p
    share = max(int(factor * len(small)), FEWEST - len(small))
    nearest = large[np.square(large - centre).sum(axis=1).argsort(kind="stable")[:share]]
    return min(p, _p_on(axis, nearest, small))


def _p_on(axis: Float64[np.ndarray, " d"], *clusters: Float64[np.ndarray, "_ d"]) -> float:
    """The p-value of the points of all these clusters, projected onto `axis`."""
    projected = np.concatenate([points @ axis for points in clusters])
    return dip_p_value(dip(projected), len(projected))


def _compare(
    found: DipPartition,
    pair: tuple[int, int],
    points: Float[Tensor, "n d"],
    members: list[Float64[np.ndarray, "_ d"]],
    factor: float,
) -> None:
    """Test a pair, and note what was found."""
    first, second = sorted(pair)
    centres = points[found.centres[[first, second]]].double().numpy()
    found.p[first, second] = found.p[second, first] = pair_p_value(members[first], members[second], centres, factor)


def _members(points: Float[Tensor, "n d"], labels: Int64[Tensor, " n"], count: int) -> list[Float64[np.ndarray, "_ d"]]:
    """The points of every cluster."""
    order = labels.argsort(stable=True)
    parts = torch.split(points[order].double(), torch.bincount(labels, minlength=count).tolist())
    return [part.numpy() for part in parts]


def _nearest_points(places: Float[Tensor, "c d"], points: Float[Tensor, "n d"]) -> Int64[Tensor, " c"]:
    """The position of the point that is nearest to each of these places."""
    return squared_differences(places, points).argmin(dim=1)
