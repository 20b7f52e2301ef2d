"""The nearest neighbours of all points among themselves.

faiss finds the candidates. It expands the square of the distance, ‖x‖² + ‖y‖² − 2⟨x, y⟩, which loses digits; so the
differences of the coordinates decide among the candidates.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import torch  # first: torch and faiss each bring an OpenMP, and on macOS torch's must be loaded first

# isort: split
import faiss
import numpy as np
from jaxtyping import Float, Float32, Int64
from torch import Tensor

from estimators.base import RepresentationError

EXACT_WORK = 6e11
"""Up to so many products of coordinates (60,000 points in 166 dimensions) every point is compared with every other."""
PROJECTED = 96
"""Dimensions in which candidates are sought where that is too much."""
RECALL = 0.998
"""Share of a sample's true neighbours that must be among its candidates."""
MOST_CANDIDATES = 256
SAMPLE = 512
ROWS = 2048
"""Points searched at a time. Where they are few, faiss does without matrix products and is four times slower."""
SPARE = 8
"""Candidates beyond the neighbours asked for, so that rounding does not decide."""


class Neighbours(NamedTuple):
    """The nearest neighbours of m points.

    Attributes:
        indices: (m, k), int64.
        distances: (m, k), float32, Euclidean, ascending; equal ones in the order of their indices.
    """

    indices: Int64[Tensor, "m k"]
    distances: Float32[Tensor, "m k"]


def neighbour_graph(points: Float[Tensor, "n d"], count: int) -> Neighbours:
    """The `count` nearest neighbours of every point among all points, itself first.

    Small problems are solved exactly. In large ones the candidates are the nearest points in the space of the first 96
    principal components: as many as hold 99.8 % of the true neighbours of 512 sample points, or all points where 256
    candidates do not hold them. Distances are those in all dimensions in any case. The answer is the same for any
    number of threads, since each of them works on its own rows.

    Args:
        points: finite values.
        count: k, the point itself among them; 1 to n.

    Raises:
        RepresentationError: when `count` is not within 1 to n, or a value is not finite.
    """
    n, dimensions = points.shape
    if not 1 <= count <= n:
        raise RepresentationError(f"{n} points have 1 to {n} neighbours each, themselves included; received {count}.")
    origin, unit = _frame(points)
    vectors = _moved(points, origin, unit)
    searched, candidates = vectors, min(count + SPARE, n)
    indices, squared = np.empty((n, count), np.int64), np.empty((n, count), np.float32)
    with ThreadPoolExecutor(faiss.omp_get_max_threads(), initializer=faiss.omp_set_num_threads, initargs=(1,)) as pool:
        if n * n * dimensions > EXACT_WORK and dimensions > PROJECTED and count < MOST_CANDIDATES:
            projected = _projected(vectors, pool)
            enough = _candidates_needed(vectors, projected, count, pool)
            if enough is not None:
                searched, candidates = projected, enough

        def search(rows: slice) -> None:
            _, found = faiss.knn(searched[rows], searched, candidates)
            indices[rows], squared[rows] = _themselves_first(vectors, rows, found, count)

        list(pool.map(search, _parts(n)))
    return Neighbours(torch.from_numpy(indices), torch.from_numpy(np.sqrt(squared) * np.float32(unit)))


def _frame(points: Float[Tensor, "n d"]) -> tuple[Float[Tensor, " d"], float]:
    """The mean, and a power of two as the unit: about the one, in the other, squares neither overflow nor vanish."""
    if not bool(torch.isfinite(points).all()):
        raise RepresentationError("neighbours need finite points; received NaN or infinity.")
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


def _candidates_needed(
    vectors: Float32[np.ndarray, "n d"], projected: Float32[np.ndarray, "n p"], count: int, pool: ThreadPoolExecutor
) -> int | None:
    """How many nearest points in projection hold the sample's true neighbours; None where these are too many."""
    sample = np.linspace(0, len(vectors) - 1, SAMPLE).astype(np.int64)
    true, close = pool.map(
        lambda space, k: faiss.knn(space[sample], space, k)[1], (vectors, projected), (count, MOST_CANDIDATES)
    )
    recall = (close[:, :, None] == true[:, None, :]).any(axis=2).sum(axis=0).cumsum() / true.size
    enough = int(np.searchsorted(recall, RECALL)) + 1
    return max(enough, count) if enough <= MOST_CANDIDATES else None


def _themselves_first(
    vectors: Float32[np.ndarray, "n d"], rows: slice, found: Int64[np.ndarray, "m c"], count: int
) -> tuple[Int64[np.ndarray, "m k"], Float32[np.ndarray, "m k"]]:
    """The `count` nearest of the candidates that were found for `rows`, the rows themselves before all others."""
    own = np.arange(rows.start, rows.stop)
    # A point that its duplicates crowded out takes the last one's place.
    crowded_out = (found != own[:, None]).all(axis=1)
    found[crowded_out, -1] = own[crowded_out]
    found = np.sort(found, axis=1)
    queries, squared = vectors[rows], np.empty(found.shape, np.float32)
    faiss.fvec_L2sqr_by_idx(  # type: ignore[attr-defined]
        *(faiss.swig_ptr(array) for array in (squared, queries, vectors, found)), vectors.shape[1], *found.shape
    )
    squared[found == own[:, None]] = -1
    nearest = np.argsort(squared, axis=1, kind="stable")[:, :count]
    return np.take_along_axis(found, nearest, 1), np.maximum(np.take_along_axis(squared, nearest, 1), 0)
