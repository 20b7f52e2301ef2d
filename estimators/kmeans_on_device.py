"""KMeans by torch on the device that the points lie on: all restarts in one computation.

The restarts are an axis of every tensor: r restarts, k clusters, n points in d dimensions. Beside the points, memory
holds their centred copy, 24 bytes a point and restart while seeds are drawn, and then a few blocks of at most
`NUMBERS` numbers (`estimators.on_device`), whatever n is.

Sources: as in `estimators.kmeans`.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor

from configs.schema import KMeansSettings
from estimators.nearest_on_device import squared_differences
from estimators.on_device import block_rows, full_float32

TEST_EVERY = 5
"""Iterations between two looks at whether all restarts have ended: each makes the host wait for the device."""
SPLIT = 1 / 1024
"""Distance between the halves of a split cluster along every axis, in standard deviations of a coordinate."""


class Pass(NamedTuple):
    """What one pass over all points says of every restart's centroids.

    Attributes:
        sums: of every cluster's points.
        counts: how many these are.
        inertia: the sum of squared distances to the nearest centroid, good to float32.
    """

    sums: Float64[Tensor, "r k d"]
    counts: Float64[Tensor, "r k"]
    inertia: Float64[Tensor, " r"]


def kmeans_on_device(
    points: Float[Tensor, "n d"],
    k: int,
    settings: KMeansSettings,
    seed: int,
    tolerance: float,
    start: Float[Tensor, "k d"] | None = None,
) -> Float[Tensor, "k d"]:
    """The centroids of the restart of least inertia, or those that `start` leads to, on the points' device.

    A restart ends when an iteration lowers its inertia by no more than a share `tolerance`; it then keeps its
    centroids while the others go on.

    Args:
        points: finite values, float32.
        k: number of clusters, 2 to n.
        settings: restarts and iterations.
        seed: of the first centroids, drawn on the CPU: the same on any device but for rounding.
        tolerance: 0 or more.
        start: on the same device. None: `redos` starts by k-means++.
    """
    mean = points.mean(dim=0, dtype=torch.float64).float()
    x = points - mean  # products lose digits with the distance from the origin
    centroids = x[seed_rows(x, k, settings.redos, seed)] if start is None else (start - mean)[None]
    shift = SPLIT * x.square().mean().sqrt() * (1 - 2.0 * (torch.arange(x.shape[1], device=x.device) % 2))
    before = torch.full((len(centroids),), torch.inf, dtype=torch.float64, device=x.device)
    inertia = before
    done = torch.zeros_like(before, dtype=torch.bool)
    for iteration in range(settings.iterations):
        found = assign_and_sum(x, centroids)
        inertia = found.inertia
        done = done | ((before - inertia <= tolerance * before) & before.isfinite())
        before = inertia
        if iteration % TEST_EVERY == TEST_EVERY - 1 and bool(done.all()):
            break
        centroids = torch.where(done[:, None, None], centroids, moved(centroids, found, shift))
    return centroids.index_select(0, inertia.argmin().view(1))[0] + mean


def seed_rows(
    x: Float[Tensor, "n d"], k: int, restarts: int, seed: int, trials: int = 1
) -> Int64[Tensor, "{restarts} {k}"]:
    """Points by k-means++: drawn in proportion to their squared distance to those drawn before.

    Of several `trials` the point is kept that leaves the least sum of squared distances.
    """
    generator = torch.Generator().manual_seed(seed)
    draws = torch.rand(k, restarts, trials, generator=generator, dtype=torch.float64).to(x.device)
    rows = [(draws[0, :, 0] * len(x)).long()]
    squared = squared_differences(x[rows[0]], x)  # (r, n)
    for draw in draws[1:]:
        # In float64 the order of the additions, which a GPU does not promise, can all but never change a draw.
        weight = squared.cumsum(dim=1, dtype=torch.float64)
        drawn = torch.searchsorted(weight, draw * weight[:, -1:], right=True).clamp_(max=len(x) - 1)  # (r, trials)
        left = squared_differences(x[drawn.flatten()], x).view(restarts, trials, -1)
        left = torch.minimum(left, squared[:, None])  # (r, trials, n)
        best = left.sum(dim=2, dtype=torch.float64).argmin(dim=1, keepdim=True)  # (r, 1)
        rows.append(drawn.gather(1, best)[:, 0])
        squared = left.gather(1, best[:, :, None].expand(-1, 1, len(x)))[:, 0]
    return torch.stack(rows, dim=1)


def assign_and_sum(x: Float[Tensor, "n d"], centroids: Float[Tensor, "r k d"]) -> Pass:
    """Assign all points to their nearest centroids, in blocks, by products in float32."""
    r, k, d = centroids.shape
    flat, norms = centroids.flatten(0, 1), centroids.square().sum(dim=2).flatten()  # (r k, d), (r k)
    sums, counts, inertia = (x.new_zeros(shape, dtype=torch.float64) for shape in ((r * k, d), (r * k,), (r,)))
    with full_float32():
        for block in torch.split(x, block_rows(r * k)):
            score = torch.addmm(norms, block, flat.T, alpha=-2).view(len(block), r, k)  # squared distance - |x|²
            least, label = score.min(dim=2)
            squared = (least + block.square().sum(dim=1, keepdim=True)).clamp_(min=0)
            inertia += squared.sum(dim=0, dtype=torch.float64)
            members = torch.zeros_like(score).scatter_(2, label[:, :, None], 1.0).flatten(1)  # (b, r k)
            sums += members.T @ block
            counts += members.sum(dim=0)
    return Pass(sums.view(r, k, d), counts.view(r, k), inertia)


def moved(centroids: Float[Tensor, "r k d"], found: Pass, shift: Float[Tensor, " d"]) -> Float[Tensor, "r k d"]:
    """Every centroid at the mean of its points.

    A cluster without points takes a half of a large one, as in faiss: the first of them that of the largest, the second
    that of the second largest.
    """
    empty = found.counts == 0
    means = (found.sums / found.counts.clamp(min=1)[:, :, None]).float()
    means = torch.where(empty[:, :, None], centroids, means)
    by_size = found.counts.argsort(dim=1, descending=True, stable=True)
    donor = by_size.gather(1, (empty.cumsum(dim=1) - 1).clamp(min=0))  # (r, k)
    halves = means.gather(1, donor[:, :, None].expand_as(means)) + shift
    return torch.where(empty[:, :, None], halves, means)
