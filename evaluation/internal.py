"""Internal metrics: how compact and separate clusters are in a space. No labels.

All are Euclidean, and exact but for `silhouette_estimate`. They compare clusterings within one space only. Each is None
where it is undefined: with fewer than two clusters in use, or with every point a cluster of its own. Empty clusters are
left out. The silhouette is computed where the points lie, on any device that has float64.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor

from evaluation.sampling import Estimate, estimate

# Rows a tile: a tile of 1024 x 1024 float32 distances (4 MiB) stays near the processor while it is worked on.
TILE = 1024
TILE_ON_DEVICE = 8192  # 256 MiB: fewer and longer kernels


def silhouette(points: Float[Tensor, "n d"], clusters: Int64[Tensor, " n"]) -> float | None:
    """Mean silhouette, -1 to 1, higher is better.

    s = (b - a) / max(a, b), where a is a point's mean distance to the other points of its cluster and b its
    smallest mean distance to the points of another cluster; a point alone in its cluster has s = 0.
    Rousseeuw, 1987, "Silhouettes: a graphical aid to the interpretation and validation of cluster analysis".

    Takes n² / 2 distances in tiles of float32 (or the points' precision), sums in float64, and memory for
    about two copies of the points.
    """
    groups = _groups(_scaled(points), clusters)
    if groups is None:
        return None
    within = [_sums_within(group) / max(1, len(group) - 1) for group in groups]
    nearest = [torch.full_like(sums, torch.inf) for sums in within]
    for i in range(len(groups)):
        for j in range(i):
            sums, sums_back = _sums_between(groups[i], groups[j])
            nearest[i] = torch.minimum(nearest[i], sums / len(groups[j]))
            nearest[j] = torch.minimum(nearest[j], sums_back / len(groups[i]))
    scores = [_silhouettes(a, b) for a, b in zip(within, nearest, strict=True) if len(a) > 1]
    return float(torch.cat(scores).sum()) / len(points)


def silhouette_estimate(
    points: Float[Tensor, "n d"], clusters: Int64[Tensor, " n"], sample: Int64[Tensor, " s"]
) -> Estimate | None:
    """The mean silhouette of the points from those of a sample, each compared with all points.

    Takes n·s distances, in tiles as `silhouette`.

    Args:
        points: n of them.
        clusters: of every point.
        sample: different points, ascending.
    """
    groups = _groups(_scaled(points), clusters)
    if groups is None:
        return None
    order = clusters.cpu().argsort(stable=True)
    place = torch.empty_like(order)
    place[order] = torch.arange(len(order))
    scores, start = [], 0
    for i, group in enumerate(groups):
        own = place[sample] - start
        own = own[(own >= 0) & (own < len(group))].sort().values.to(points.device)
        start += len(group)
        if len(own) == 0:
            continue
        if len(group) == 1:
            scores.append(torch.zeros(1, dtype=torch.float64))
            continue
        within = _sums_to(group[own], group, own) / (len(group) - 1)
        nearest = torch.full_like(within, torch.inf)
        for j, other in enumerate(groups):
            if j != i:
                nearest = torch.minimum(nearest, _sums_to(group[own], other) / len(other))
        scores.append(_silhouettes(within, nearest).cpu())
    return estimate(torch.cat(scores), len(points))


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
    clusters = clusters.cpu()
    sizes = clusters.bincount()
    sizes = sizes[sizes > 0]
    if not 2 <= len(sizes) < len(points):
        return None
    return list(torch.split(points[clusters.argsort(stable=True).to(points.device)], sizes.tolist()))


def _scaled(points: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
    """Centred and scaled into [-1, 1]: no silhouette changes, and squares do not overflow."""
    centred = points - points.mean(dim=0)
    centred /= centred.abs().max().clamp(min=torch.finfo(centred.dtype).tiny)
    return centred


def _silhouettes(a: Float64[Tensor, " m"], b: Float64[Tensor, " m"]) -> Float64[Tensor, " m"]:
    """(b - a) / max(a, b), and 0 where both are 0."""
    return ((b - a) / torch.maximum(a, b)).nan_to_num_(0.0)


def _tiles(rows: Float[Tensor, "m d"]) -> tuple[Float[Tensor, "_ d"], ...]:
    return torch.split(rows, TILE if rows.device.type == "cpu" else TILE_ON_DEVICE)


def _zeros(tile: Float[Tensor, "m d"]) -> Float64[Tensor, " m"]:
    return torch.zeros(len(tile), dtype=torch.float64, device=tile.device)


def _centroids(groups: list[Float[Tensor, "_ d"]]) -> Float64[Tensor, "k d"]:
    return torch.stack([group.mean(dim=0, dtype=torch.float64) for group in groups])


def _sums_within(group: Float[Tensor, "m d"]) -> Float64[Tensor, " m"]:
    """Every point's sum of distances to the points of its own group."""
    # |x - y|² is computed from |x|² + |y|² - 2xy, whose rounding error grows with |x| and |y|: so centre.
    tiles = _tiles(group - group.mean(dim=0))
    sums = [_zeros(tile) for tile in tiles]
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
    rows, columns = _tiles(first - middle), _tiles(second - middle)
    sums = [_zeros(tile) for tile in rows]
    sums_back = [_zeros(tile) for tile in columns]
    for i, row in enumerate(rows):
        for j, column in enumerate(columns):
            distances = _distances(row, column)
            sums[i] += distances.sum(dim=1)
            sums_back[j] += distances.sum(dim=0)
    return torch.cat(sums), torch.cat(sums_back)


def _sums_to(
    rows: Float[Tensor, "m d"], group: Float[Tensor, "l d"], own: Int64[Tensor, " m"] | None = None
) -> Float64[Tensor, " m"]:
    """Sums of the distances of `rows` to the points of a group; `own` are their places in it, if it is theirs."""
    middle = group.mean(dim=0) if own is not None else (rows.mean(dim=0) + group.mean(dim=0)) / 2
    tiles, columns = _tiles(rows - middle), _tiles(group - middle)
    places = [None] * len(tiles) if own is None else torch.split(own, len(tiles[0]))
    sums = [_zeros(tile) for tile in tiles]
    for total, row, place in zip(sums, tiles, places, strict=True):
        start = 0
        for column in columns:
            distances = _distances(row, column)
            if place is not None:
                _clear(distances, place - start)
            total += distances.sum(dim=1)
            start += len(column)
    return torch.cat(sums)


def _clear(distances: Float[Tensor, "m l"], place: Int64[Tensor, " m"]) -> None:
    """Set every row's entry at its place to 0, which rounding leaves above; places outside are of other tiles."""
    inside = ((place >= 0) & (place < distances.shape[1])).unsqueeze(1)
    nearest = place.clamp(0, distances.shape[1] - 1).unsqueeze(1)
    distances.scatter_(1, nearest, distances.gather(1, nearest).masked_fill_(inside, 0.0))


def _distances(rows: Float[Tensor, "m d"], columns: Float[Tensor, "l d"]) -> Float[Tensor, "m l"]:
    """Euclidean distances from one matrix product, (m, l)."""
    squares = torch.addmm(columns.square().sum(dim=1), rows, columns.T, alpha=-2.0)
    squares += rows.square().sum(dim=1, keepdim=True)
    return squares.clamp_(min=0.0).sqrt_()
