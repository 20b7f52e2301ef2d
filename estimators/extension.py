"""Exact nearest neighbours, and by them the labels of points that a clusterer has not seen.

A search in float32 alone would not do: libraries expand the square and batch the products, so the last digits, and
with them near ties, depend on how many points are asked about at once. Here float32 only proposes candidates.
Float64 differences decide among them, and a bound on float32's error says whether a point left out could still be
nearer; where it could, the search is widened. faiss and a tree propose on the CPU, `nearest_on_device` elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch  # first: torch and faiss each bring an OpenMP, and on macOS torch's must be loaded first

# isort: split
import faiss
from jaxtyping import Bool, Float, Float64, Int64
from scipy.spatial import KDTree
from torch import Tensor

from estimators import nearest_on_device
from estimators.on_device import NUMBERS, is_cpu, where_float64_is

EXTENSION = "other images: nearest neighbour (1-NN)"

SPARE = 3  # candidates proposed beyond those asked for
FEW = 10  # dimensions up to which a tree beats comparing every pair, whatever the points
BLOCK = 2**17  # numbers in memory at a time, on the CPU
ROUNDING = 2.0**-24  # largest relative error of one float32 operation
INT32_MAX = 2**31 - 1


def nearest_label(
    points: Float[Tensor, "m d"], fitted: Float[Tensor, "n d"], labels: Int64[Tensor, " n"]
) -> Int64[Tensor, " m"]:
    """The label of every point's nearest neighbour among `fitted`. A fitted point has its own label.

    Of equally near neighbours, duplicates among them, the first decides. The same for one batch or many. The search
    runs on the device of `points`, wherever the others are; the answer is on the device of `labels`.
    """
    _, neighbours = nearest(points, fitted, 1)
    return labels[neighbours[:, 0].to(labels.device)]


def nearest(
    points: Float[Tensor, "m d"], base: Float[Tensor, "n d"], count: int
) -> tuple[Float64[Tensor, "m {count}"], Int64[Tensor, "m {count}"]]:
    """Squared Euclidean distances and indices of the `count` nearest in `base`, nearest first.

    Exact for the points rounded to float32: distances are sums in float64, equal distances go by the lower index.
    The same for one batch or many. Not for forked worker processes, where faiss can hang.

    It runs where the points are, on the CPU if their device has no float64, and there the answers are.

    Args:
        points: finite values.
        base: finite values, at least `count` rows, on any device.
        count: neighbours wanted, 1 or more. A point that is in `base` is its own neighbour.
    """
    if not 1 <= count <= len(base):
        raise ValueError(f"count must be 1 to {len(base)}, the size of the base; received {count}.")
    points = where_float64_is(points)
    x, y = points.float().contiguous(), base.to(points.device).float().contiguous()
    few = x.shape[1] <= FEW and is_cpu(x)
    squared, found, certain = (_by_differences if few else _by_products)(x, y, count, count + SPARE)
    if not bool(certain.all()):
        doubtful = (~certain).nonzero()[:, 0]
        # What stays doubtful are mostly duplicates: equal points are asked about once.
        distinct, place = torch.unique(x[doubtful], dim=0, return_inverse=True)
        settled, settled_found = _widened(distinct, y, count, 4 * (count + SPARE) if few else count + SPARE)
        squared[doubtful], found[doubtful] = settled[place], settled_found[place]
    return squared, found


def _widened(
    x: Float[Tensor, "m d"], y: Float[Tensor, "n d"], count: int, width: int
) -> tuple[Float64[Tensor, "m {count}"], Int64[Tensor, "m {count}"]]:
    """The nearest among `width` candidates, then among more and more, until none is doubtful."""
    squared = torch.empty(len(x), count, dtype=torch.float64, device=x.device)
    found = torch.empty(len(x), count, dtype=torch.int64, device=x.device)
    doubtful = torch.arange(len(x), device=x.device)
    while len(doubtful):
        still = []
        for rows in torch.split(doubtful, max(8 * _block(x) // width, 1)):
            squared[rows], found[rows], certain = _by_differences(x[rows], y, count, width)
            still.append(rows[~certain])
        doubtful, width = torch.cat(still), 4 * width
    return squared, found


def _by_products(
    x: Float[Tensor, "m d"], y: Float[Tensor, "n d"], count: int, width: int
) -> tuple[Float64[Tensor, "m {count}"], Int64[Tensor, "m {count}"], Bool[Tensor, " m"]]:
    """The nearest among `width` candidates from ‖x‖² + ‖y‖² − 2xy, and whether they are certain.

    Fast, but the error is relative to the points' distance from the origin.
    """
    origin = y.mean(dim=0)
    centred = x - origin
    rough, candidates = _search(centred, y - origin, min(width, len(y)))
    norm = centred.norm(dim=1).double() * 1.01  # that of float32, rounded up

    def bound(rows: Tensor, last: Tensor) -> Tensor:
        # A point y left out that were nearer than `last` has ‖y‖ ≤ ‖x‖ + √last, and each of the d terms and of the
        # few operations around them errs by ROUNDING (‖x‖ + ‖y‖)² at most (Higham 2002, section 3.1).
        reach = 2 * norm[rows] + last.sqrt()
        limit: Tensor = last + (x.shape[1] + 16) * ROUNDING * reach.square()
        return limit

    return _decide(x, y, rough, candidates, count, bound)


def _by_differences(
    x: Float[Tensor, "m d"], y: Float[Tensor, "n d"], count: int, width: int
) -> tuple[Float64[Tensor, "m {count}"], Int64[Tensor, "m {count}"], Bool[Tensor, " m"]]:
    """The nearest among `width` candidates from Σ(x − y)², and whether they are certain.

    Slower than products in many dimensions, with an error relative to the distance itself.
    """
    if width >= len(y):
        squared, found = _ranked(x, y, torch.arange(len(y), device=x.device).expand(len(x), -1))
        return squared[:, :count], found[:, :count], torch.ones(len(x), dtype=torch.bool, device=x.device)
    if not is_cpu(x):
        rough, candidates = nearest_on_device.by_differences(x, y, width)
    elif x.shape[1] <= FEW:
        rough, candidates = _search_tree(x, y, width)
    else:
        with without_products():
            rough, candidates = _search(x, y, width)
    return _decide(x, y, rough, candidates, count, lambda rows, last: last * (1 + (x.shape[1] + 16) * ROUNDING))


def _decide(
    x: Float[Tensor, "m d"],
    y: Float[Tensor, "n d"],
    rough: Float[Tensor, "m w"],
    candidates: Int64[Tensor, "m w"],
    count: int,
    bound: Callable[[Tensor, Tensor], Tensor],
) -> tuple[Float64[Tensor, "m {count}"], Int64[Tensor, "m {count}"], Bool[Tensor, " m"]]:
    """The exact order of the first candidates; of all of them where that leaves doubt.

    Args:
        rough: float32 distances of the candidates, ascending.
        bound: of rows and the exact distances of their last neighbours: a rough distance above it is that of a point
            farther away.
    """
    squared, found = _ranked(x, y, candidates[:, :count])
    every = torch.arange(len(x), device=x.device)
    next_best = rough[:, min(count, rough.shape[1] - 1)]
    certain = next_best > bound(every, squared[:, -1])
    rows = every[~certain]
    exact, ranked = _ranked(x[rows], y, candidates[rows])
    squared[rows], found[rows] = exact[:, :count], ranked[:, :count]
    certain[rows] = rough[rows, -1] > bound(rows, exact[:, count - 1])
    return squared, found, certain


def _search(
    x: Float[Tensor, "m d"], y: Float[Tensor, "n d"], width: int
) -> tuple[Float[Tensor, "m {width}"], Int64[Tensor, "m {width}"]]:
    """Float32 squared distances, ascending, and indices of about the nearest `width`.

    NaN stands beside an index that is no neighbour, which happens where distances overflow.
    """
    if not is_cpu(x):
        return nearest_on_device.by_products(x, y, width)
    distances, indices = (torch.from_numpy(array) for array in faiss.knn(x.numpy(), y.numpy(), width))
    return distances.masked_fill(indices < 0, torch.nan), indices.clamp(min=0)


def _search_tree(
    x: Float[Tensor, "m d"], y: Float[Tensor, "n d"], width: int
) -> tuple[Float64[Tensor, "m {width}"], Int64[Tensor, "m {width}"]]:
    """Squared distances, ascending, and indices of the nearest `width`, from a tree that halves space."""
    distances, indices = KDTree(y.numpy()).query(x.numpy(), k=range(1, width + 1))
    return torch.from_numpy(distances).square(), torch.from_numpy(indices)


@contextmanager
def without_products() -> Iterator[None]:
    """Within it faiss never expands the square: every distance is good to float32, however small."""
    threshold = faiss.cvar.distance_compute_blas_threshold
    faiss.cvar.distance_compute_blas_threshold = INT32_MAX
    try:
        yield
    finally:
        faiss.cvar.distance_compute_blas_threshold = threshold


def _ranked(
    x: Float[Tensor, "m d"], y: Float[Tensor, "n d"], candidates: Int64[Tensor, "m w"]
) -> tuple[Float64[Tensor, "m w"], Int64[Tensor, "m w"]]:
    """Exact squared distances in ascending order with their candidates, equal ones by index."""
    candidates = candidates.sort(dim=1).values
    rows = torch.arange(len(x), device=x.device).repeat_interleave(candidates.shape[1])
    size = _block(x) // x.shape[1] + 1
    pairs = zip(torch.split(rows, size), torch.split(candidates.flatten(), size), strict=True)
    squared = torch.cat([_squared_distances(x[i], y[j]) for i, j in pairs]).view(candidates.shape)
    order = squared.sort(dim=1, stable=True)
    return order.values, candidates.gather(1, order.indices)


def _block(x: Tensor) -> int:
    """Numbers in memory at a time: those of a cache on the CPU, many on a device, where each operation is launched."""
    return BLOCK if is_cpu(x) else NUMBERS


def _squared_distances(x: Float[Tensor, "m d"], y: Float[Tensor, "m d"]) -> Float64[Tensor, " m"]:
    """Row by row, in float64. Summed by halves, element by element: no rounding depends on the number of rows."""
    terms = (x.double() - y.double()).square_()
    while (width := terms.shape[1]) > 1:
        terms[:, : width // 2] += terms[:, (width + 1) // 2 :]
        terms = terms[:, : (width + 1) // 2]
    return terms[:, 0]
