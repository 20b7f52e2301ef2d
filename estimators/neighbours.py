"""The nearest neighbours of all points among themselves.

On the CPU faiss finds the candidates. It expands the square of the distance, ‖x‖² + ‖y‖² − 2⟨x, y⟩, which loses digits;
so the differences of the coordinates decide among the candidates. On a device torch does the same.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import NamedTuple

import torch  # first: torch and faiss each bring an OpenMP, and on macOS torch's must be loaded first

# isort: split
import faiss
import numpy as np
from jaxtyping import Float, Float32, Int64
from torch import Tensor

from estimators.base import RepresentationError
from estimators.neighbour_cells import Cells
from estimators.neighbours_on_device import SPARE, nearest_on_device

EXACT_POINTS = 200_000
"""Up to so many points every one is compared with every other. Beyond, only with those of the cells near to it."""
EXACT_WORK = 6e11
"""Up to so many products of coordinates (60,000 points in 166 dimensions) candidates are sought in all dimensions."""
PROJECTED = 96
"""Dimensions in which candidates are sought where that is too much."""
RECALL = 0.998
"""Share of a sample's true neighbours that must be among its candidates in the projection."""
FLOOR = 0.995
"""Share of a sample's true neighbours that a search in cells must find. Where it does not, all points are compared."""
MOST_CANDIDATES = 256
SAMPLE = 512
ROWS = 2048
"""Points searched at a time. Where they are few, faiss does without matrix products and is four times slower."""

Rows = slice | Int64[np.ndarray, " m"]
Search = Callable[[Rows], Int64[np.ndarray, "m c"]]
"""From points, by their indices, to their candidates; -1 where a row has fewer than others."""


class Neighbours(NamedTuple):
    """The nearest neighbours of m points.

    Attributes:
        indices: (m, k), int64.
        distances: (m, k), float32, Euclidean, ascending; equal ones in the order of their indices.
        recall: share of the true neighbours that are among them, measured on 512 of the points; 1.0 when the search
            was exact.
    """

    indices: Int64[Tensor, "m k"]
    distances: Float32[Tensor, "m k"]
    recall: float = 1.0


def recall_notes(recall: float) -> tuple[str, ...]:
    """What a table must say of neighbours with this recall: nothing where all were found."""
    return () if recall >= 1 else (f"approximate neighbours, recall {recall:.3f}",)


def neighbour_graph(points: Float[Tensor, "n d"], count: int) -> Neighbours:
    """The `count` nearest neighbours of every point among all points, itself first.

    On a device the search is exact. On the CPU it is exact up to 200,000 points and 6e11 products of coordinates.

    * With more products and more than 96 dimensions, the candidates are the nearest points in the space of the first
      96 principal components: as many as hold 99.8 % of the true neighbours of 512 sample points, or all points where
      256 candidates do not hold them.
    * With more points, the candidates come from the cells nearest to a point (`estimators.neighbour_cells`). So many
      cells are searched that 99.5 % of the sample's neighbours are found; where that takes too many, all points are.

    Distances are those in all dimensions in any case. On the CPU the answer is the same for any number of threads,
    since each of them works on its own rows.

    Args:
        points: finite values, on any device.
        count: k, the point itself among them; 1 to n.

    Returns:
        On the CPU, wherever the points lie: the graph is small, and it is stored with the method.

    Raises:
        RepresentationError: when `count` is not within 1 to n, or a value is not finite.
    """
    n = len(points)
    if not 1 <= count <= n:
        raise RepresentationError(f"{n} points have 1 to {n} neighbours each, themselves included; received {count}.")
    if not bool(torch.isfinite(points).all()):
        raise RepresentationError("neighbours need finite points; received NaN or infinity.")
    if points.device.type != "cpu":
        return Neighbours(*nearest_on_device(points, count))
    origin, unit = _frame(points)
    vectors = _moved(points, origin, unit)
    indices, squared = np.empty((n, count), np.int64), np.empty((n, count), np.float32)
    with ThreadPoolExecutor(faiss.omp_get_max_threads(), initializer=faiss.omp_set_num_threads, initargs=(1,)) as pool:
        search, recall = _search(vectors, count, pool)

        def find(rows: slice) -> None:
            own = np.arange(rows.start, rows.stop)
            indices[rows], squared[rows] = _themselves_first(vectors, own, search(rows), count)

        list(pool.map(find, _parts(n)))
    return Neighbours(torch.from_numpy(indices), torch.from_numpy(np.sqrt(squared) * np.float32(unit)), recall)


def _frame(points: Float[Tensor, "n d"]) -> tuple[Float[Tensor, " d"], float]:
    """The mean, and a power of two as the unit: about the one, in the other, squares neither overflow nor vanish."""
    # By numpy: one thread, so that not even the last digit depends on their number.
    origin = torch.from_numpy(points.numpy().mean(axis=0, dtype=np.float64))
    largest = max(float((block - origin).abs().max()) for block in torch.split(points, ROWS))
    return origin, float(2.0 ** np.floor(np.log2(largest))) if largest > 0 else 1.0


def _moved(points: Float[Tensor, "n d"], origin: Float[Tensor, " d"], unit: float) -> Float32[np.ndarray, "n d"]:
    """The points about `origin` in units of `unit`."""
    moved = torch.empty(points.shape, dtype=torch.float32)
    for target, block in zip(torch.split(moved, ROWS), torch.split(points, ROWS), strict=True):
        target.copy_((block - origin) / unit)
    return moved.numpy()


def _search(vectors: Float32[np.ndarray, "n d"], count: int, pool: ThreadPoolExecutor) -> tuple[Search, float]:
    """The cheapest search that is good enough, and its recall."""
    n, dimensions = vectors.shape
    too_wide = n * n * dimensions > EXACT_WORK and dimensions > PROJECTED and count < MOST_CANDIDATES
    searched, candidates = vectors, min(count + SPARE, n)
    if not too_wide and n <= EXACT_POINTS:
        return partial(_among_all, searched, candidates), 1.0
    sample = _Sample(vectors, count, pool)
    if too_wide:
        projected = _projected(vectors, pool)
        enough = sample.candidates_needed(projected)
        if enough is not None:
            searched, candidates = projected, enough
    if n > EXACT_POINTS:
        cells = Cells(searched, _parts(n), pool)
        for probes in cells.probes():
            search = partial(cells.search, candidates, probes)
            recall = sample.recall(search)
            if recall >= FLOOR:
                return search, recall
    search = partial(_among_all, searched, candidates)
    return search, 1.0 if searched is vectors else sample.recall(search)


def _among_all(searched: Float32[np.ndarray, "n p"], candidates: int, rows: Rows) -> Int64[np.ndarray, "m c"]:
    """The nearest among all points."""
    found: Int64[np.ndarray, "m c"] = faiss.knn(searched[rows], searched, candidates)[1]
    return found


def _parts(n: int) -> list[slice]:
    return [slice(start, min(start + ROWS, n)) for start in range(0, n, ROWS)]


def _projected(vectors: Float32[np.ndarray, "n d"], pool: ThreadPoolExecutor) -> Float32[np.ndarray, "n p"]:
    """The vectors on the principal components of 8,192 of them."""
    n, dimensions = vectors.shape

    def fitted() -> faiss.PCAMatrix:
        projection = faiss.PCAMatrix(dimensions, PROJECTED)
        projection.max_points_per_d = n  # all that it is given
        projection.train(vectors[np.linspace(0, n - 1, min(n, 8192)).astype(np.int64)])
        return projection

    projection = pool.submit(fitted).result()
    return np.concatenate(list(pool.map(lambda rows: projection.apply(vectors[rows]), _parts(n))))


class _Sample:
    """Points whose true neighbours are known, by which a search is measured."""

    def __init__(self, vectors: Float32[np.ndarray, "n d"], count: int, pool: ThreadPoolExecutor) -> None:
        self.vectors, self.count, self.pool = vectors, count, pool
        self.rows = np.linspace(0, len(vectors) - 1, SAMPLE).astype(np.int64)
        self.true: Int64[np.ndarray, "m k"] = self._found(vectors, count)
        _, squared = _themselves_first(vectors, self.rows, self.true.copy(), count)
        self.farthest = squared[:, -1:]

    def candidates_needed(self, projected: Float32[np.ndarray, "n p"]) -> int | None:
        """How many nearest points in projection hold the true neighbours; None where these are too many."""
        close = self._found(projected, MOST_CANDIDATES)
        recall = (close[:, :, None] == self.true[:, None, :]).any(axis=2).sum(axis=0).cumsum() / self.true.size
        enough = int(np.searchsorted(recall, RECALL)) + 1
        return max(enough, self.count) if enough <= MOST_CANDIDATES else None

    def recall(self, search: Search) -> float:
        """Share of the found neighbours that are as near as the true ones, whichever of equally near ones these are."""
        found = self.pool.submit(search, self.rows).result()
        _, squared = _themselves_first(self.vectors, self.rows, found, self.count)
        return float((squared <= self.farthest).mean())

    def _found(self, space: Float32[np.ndarray, "n p"], count: int) -> Int64[np.ndarray, "m k"]:
        """The nearest in `space`, by one of the pool's threads."""
        found: Int64[np.ndarray, "m k"] = self.pool.submit(
            lambda: faiss.knn(space[self.rows], space, count)[1]
        ).result()
        return found


def _themselves_first(
    vectors: Float32[np.ndarray, "n d"], own: Int64[np.ndarray, " m"], found: Int64[np.ndarray, "m c"], count: int
) -> tuple[Int64[np.ndarray, "m k"], Float32[np.ndarray, "m k"]]:
    """The `count` nearest of the candidates `found` for the points `own`, themselves before all others."""
    # A point that its duplicates crowded out takes the last one's place.
    crowded_out = (found != own[:, None]).all(axis=1)
    found[crowded_out, -1] = own[crowded_out]
    found = np.sort(found, axis=1)
    queries, squared = vectors[own], np.empty(found.shape, np.float32)
    faiss.fvec_L2sqr_by_idx(  # type: ignore[attr-defined]
        *(faiss.swig_ptr(array) for array in (squared, queries, vectors, found)), vectors.shape[1], *found.shape
    )
    squared[found == own[:, None]] = -1
    nearest = np.argsort(squared, axis=1, kind="stable")[:, :count]
    return np.take_along_axis(found, nearest, 1), np.maximum(np.take_along_axis(squared, nearest, 1), 0)
