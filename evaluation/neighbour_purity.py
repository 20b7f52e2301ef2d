"""How well the classes hang together in a space, whatever the clustering."""

from __future__ import annotations

import numpy as np
import torch  # before faiss: the other way round their two OpenMP runtimes clash on macOS

# isort: split
import faiss
from jaxtyping import Float, Int64
from torch import Tensor

NEIGHBOURS = 20


def neighbours_of(n: int, neighbours: int = NEIGHBOURS) -> int:
    """How many neighbours of a point are looked at among `n` points: all others where there are fewer."""
    return min(neighbours, n - 1)


def neighbour_purity(
    points: Float[Tensor, "n d"], classes: Int64[Tensor, " n"], neighbours: int = NEIGHBOURS
) -> float | None:
    """Mean share of a point's nearest neighbours that have its class, 0 to 1.

    The neighbours are the `neighbours` nearest other points by Euclidean distance (all others where there
    are fewer), found by exact search in float32. None for a single point. Not for forked worker processes,
    where faiss can hang.
    """
    n, dimensions = points.shape
    count = neighbours_of(n, neighbours)
    if count < 1:
        return None
    # Centred and scaled: no neighbour changes, and the distances neither overflow nor lose digits.
    centred = points.float() - points.float().mean(dim=0)
    centred /= centred.abs().max().clamp(min=torch.finfo(torch.float32).tiny)
    vectors = np.ascontiguousarray(centred.numpy())
    index = faiss.IndexFlatL2(dimensions)
    index.add(vectors)
    _, found = index.search(vectors, count + 1)
    others = torch.from_numpy(_without_self(found))
    return float((classes[others] == classes[:, None]).double().mean())


def _without_self(found: Int64[np.ndarray, "n nearest"]) -> Int64[np.ndarray, "n _"]:
    """Every row without its own number, or without its last one where duplicates crowded it out."""
    keep = found != np.arange(len(found))[:, None]
    keep[keep.all(axis=1), -1] = False
    others: Int64[np.ndarray, "n _"] = found[keep].reshape(len(found), -1)
    return others
