"""Candidates for nearest neighbours among many points: a point looks into the cells near to it, and no others.

The cells are those of KMeans, about four times the square root of the number of points, and every cell lists its
points: an inverted file, as in Sivic, Zisserman, "Video Google", ICCV 2003, and Jégou, Douze, Schmid, "Product
Quantization for Nearest Neighbor Search", PAMI 2011, here without any quantization of the points.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import torch  # noqa: F401  # before faiss: the other way round their two OpenMP runtimes clash on macOS

# isort: split
import faiss
import numpy as np
from jaxtyping import Float32, Int64

ITERATIONS = 10
"""Of KMeans. The cells need not be good ones, since the recall is measured."""
POINTS_OF_A_CELL = 64
"""So many for each are drawn to find the cells."""
FEWEST = 8
"""Cells that are searched at least."""
LARGEST_SHARE = 8
"""Up to this part of all cells are searched. Beyond, comparing all points costs no more."""


class Cells:
    """The cells of n points, and the points of every cell.

    Args:
        vectors: n points.
        blocks: of rows that one thread works on at a time.
        pool: whose threads have one OpenMP thread each. The cells are the same for any number of them.
    """

    def __init__(self, vectors: Float32[np.ndarray, "n d"], blocks: Sequence[slice], pool: ThreadPoolExecutor) -> None:
        self.vectors = vectors
        n, dimensions = vectors.shape
        self.count = min(round(4 * n**0.5), n)
        self._centres = faiss.IndexFlatL2(dimensions)
        self._index = faiss.IndexIVFFlat(self._centres, dimensions, self.count)
        self._index.cp.niter = ITERATIONS
        self._index.cp.max_points_per_centroid = POINTS_OF_A_CELL
        self._index.cp.min_points_per_centroid = 1  # below which faiss writes to the terminal
        pool.submit(self._index.train, vectors).result()
        own = np.concatenate(list(pool.map(lambda rows: self._centres.search(vectors[rows], 1)[1][:, 0], blocks)))
        self._index.add_core(n, faiss.swig_ptr(vectors), None, faiss.swig_ptr(own))

    def probes(self) -> Iterator[int]:
        """Numbers of cells to search, growing by a quarter, as long as that is cheaper than to compare all points."""
        probes = FEWEST
        while probes <= self.count // LARGEST_SHARE:
            yield probes
            probes += max(probes // 4, 1)

    def search(self, candidates: int, probes: int, rows: slice | Int64[np.ndarray, " m"]) -> Int64[np.ndarray, "m c"]:
        """The nearest points of the `probes` nearest cells; of all points where those cells hold too few."""
        queries = self.vectors[rows]
        found: Int64[np.ndarray, "m c"]
        wanted = faiss.SearchParametersIVF(nprobe=probes)  # type: ignore[call-arg]
        _, found = self._index.search(queries, candidates, params=wanted)
        few = found[:, -1] < 0
        if few.any():
            found[few] = faiss.knn(queries[few], self.vectors, candidates)[1]
        return found
