"""Internal metrics: how compact and separate clusters are in a space. No labels.

All are Euclidean and exact. They compare clusterings within one space only. Each is None where it is
undefined: with fewer than two clusters in use, or with every point a cluster of its own. Empty clusters are
left out.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor

# Rows a tile: a tile of 1024 x 1024 float32 distances (4 MiB) stays near the processor while it is worked on.
TILE = 1024


def silhouette(points: Float[Tensor, "n d"], clusters: Int64[Tensor, " n"]) -> float | None:
    """Mean silhouette, -1 to 1, higher is better.

    s = (b - a) / max(a, b), where a is a point's mean distance to the other points of its cluster and b its
    smallest mean distance to the points of another cluster; a point alone in its cluster has s = 0.
    Rousseeuw, 1987, "Silhouettes: a graphical aid to the interpretation and validation of cluster analysis".

    Takes n² / 2 distances in tiles of float32 (or the points' precision), sums in float64, and memory for
    about two copies of the points.
    """
    # Centred and scaled into [-1, 1]: no silhouette changes, and squares do not overflow.
    centred = points - points.mean(dim=0)
    centred /= centred.abs().max().clamp(min=torch.finfo(centred.dtype).tiny)
    groups = _groups(centred, clusters)
    if groups is None:
        return None
    within = [_sums_within(group) / max(1, len(group) - 1) for group in groups]
    nearest = [torch.full((len(group),), torch.inf, dtype=torch.float64) for group in groups]
    for i in range(len(groups)):
        for j in range(i):
            sums, sums_back = _sums_between(groups[i], groups[j])
            nearest[i] = torch.minimum(nearest[i], sums / len(groups[j]))
            nearest[j] = torch.minimum(nearest[j], sums_back / len(groups[i]))
    scores = [
        ((b - a) / torch.maximum(a, b)).nan_to_num_(0.0)  # 0 / 0: a and b are 0, and so is the silhouette
        for a, b in zip(within, nearest, strict=True)
        if len(a) > 1
    ]
    return float(torch.cat(scores).sum()) / len(points)


def davies_bouldin(points: Float[Tensor, "n d"], clusters: Int64[Tensor, " n"]) -> float | None:
    """Davies-Bouldin index, at least 0, lower is better.

    The mean over clusters i of the largest (S_i + S_j) / |c_i - c_j|, where S is the mean distance of a
    cluster's points to their centroid c. Davies and Bouldin, 1979, "A cluster separation measure", with
    p = 2 and q = 1. None also when two centroids coincide.
    """
    groups = _groups(points, clusters)
    if groups is None:
        return None
    centroids, spreads = _centroids(groups), []
    for group, centroid in zip(groups, centroids, strict=True):
        spreads.append((group.double() - centroid).norm(dim=1).mean())
    spread = torch.stack(spreads)
    separation = torch.cdist(centroids, centroids, compute_mode="donot_use_mm_for_euclid_dist")
    separation.fill_diagonal_(torch.inf)
    if not (separation > 0).all():
        return None
    return float(((spread[:, None] + spread[None, :]) / separation).max(dim=1).values.mean())


def calinski_harabasz(points: Float[Tensor, "n d"], clusters: Int64[Tensor, " n"]) -> float | None:
    """Calinski-Harabasz index (variance ratio), at least 0, higher is better.

    (B / (k - 1)) / (W / (n - k)), where B and W are the sums of squares between and within the k clusters.
    Calinski and Harabasz, 1974, "A dendrite method for cluster analysis". None also when W is 0.
    """
    groups = _groups(points, clusters)
    if groups is None:
        return None
    n, k = len(points), len(groups)
    centroids = _centroids(groups)
    sizes = torch.tensor([len(group) for group in groups], dtype=torch.float64)
    mean = sizes @ centroids / n
    between = float(sizes @ (centroids - mean).square().sum(dim=1))
    within = sum(
        float((group.double() - centroid).square().sum()) for group, centroid in zip(groups, centroids, strict=True)
    )
    return between / (k - 1) * (n - k) / within if within > 0 else None


def _groups(points: Float[Tensor, "n d"], clusters: Int64[Tensor, " n"]) -> list[Float[Tensor, "_ d"]] | None:
    """The points of every cluster in use, or None where no internal metric is defined."""
    sizes = clusters.bincount()
    sizes = sizes[sizes > 0]
    if not 2 <= len(sizes) < len(points):
        return None
    return list(torch.split(points[clusters.argsort(stable=True)], sizes.tolist()))


def _centroids(groups: list[Float[Tensor, "_ d"]]) -> Float64[Tensor, "k d"]:
    return torch.stack([group.mean(dim=0, dtype=torch.float64) for group in groups])


def _sums_within(group: Float[Tensor, "m d"]) -> Float64[Tensor, " m"]:
    """Every point's sum of distances to the points of its own group."""
    # |x - y|² is computed from |x|² + |y|² - 2xy, whose rounding error grows with |x| and |y|: so centre.
    tiles = torch.split(group - group.mean(dim=0), TILE)
    sums = [torch.zeros(len(tile), dtype=torch.float64) for tile in tiles]
    for i, rows in enumerate(tiles):
        distances = _distances(rows, rows)
        distances.fill_diagonal_(0.0)  # rounding leaves more than 0
        sums[i] += distances.sum(dim=1)
        for j in range(i):
            distances = _distances(rows, tiles[j])
            sums[i] += distances.sum(dim=1)
            sums[j] += distances.sum(dim=0)
    return torch.cat(sums)


def _sums_between(
    first: Float[Tensor, "m d"], second: Float[Tensor, "l d"]
) -> tuple[Float64[Tensor, " m"], Float64[Tensor, " l"]]:
    """Sums of distances to the other group, for the points of the first and of the second group."""
    middle = (first.mean(dim=0) + second.mean(dim=0)) / 2
    rows, columns = torch.split(first - middle, TILE), torch.split(second - middle, TILE)
    sums = [torch.zeros(len(tile), dtype=torch.float64) for tile in rows]
    sums_back = [torch.zeros(len(tile), dtype=torch.float64) for tile in columns]
    for i, row in enumerate(rows):
        for j, column in enumerate(columns):
            distances = _distances(row, column)
            sums[i] += distances.sum(dim=1)
            sums_back[j] += distances.sum(dim=0)
    return torch.cat(sums), torch.cat(sums_back)


def _distances(rows: Float[Tensor, "m d"], columns: Float[Tensor, "l d"]) -> Float[Tensor, "m l"]:
    """Euclidean distances from one matrix product, (m, l)."""
    squares = torch.addmm(columns.square().sum(dim=1), rows, columns.T, alpha=-2.0)
    squares += rows.square().sum(dim=1, keepdim=True)
    return squares.clamp_(min=0.0).sqrt_()
