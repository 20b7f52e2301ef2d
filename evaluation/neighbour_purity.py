"""How well the classes hang together in a space, whatever the clustering."""

from __future__ import annotations

import numpy as np
import torch  # before faiss: the other way round their two OpenMP runtimes clash on macOS

# isort: split
import faiss
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from estimators.neighbours_on_device import nearest_on_device
from evaluation.sampling import Estimate, estimate

NEIGHBOURS = 20


def neighbours_of(n: int, neighbours: int = NEIGHBOURS) -> int:
    """How many neighbours of a point are looked at among `n` points: all others where there are fewer."""
    return min(neighbours, n - 1)


def neighbour_purity(
    points: Float[Tensor, "n d"], classes: Int64[Tensor, " n"], neighbours: int = NEIGHBOURS
) -> float | None:
    """Mean share of a point's nearest neighbours that have its class, 0 to 1.

    The neighbours are the `neighbours` nearest other points by Euclidean distance (all others where there
    are fewer), found by exact search in float32, on the points' device. None for a single point. Not for forked worker
    processes, where faiss can hang.
    """
    if neighbours_of(len(points), neighbours) < 1:
        return None
    return float(_have_the_class(points, classes, neighbours).double().mean())


def neighbour_purity_estimate(
    points: Float[Tensor, "n d"],
    classes: Int64[Tensor, " n"],
    sample: Int64[Tensor, " s"],
    neighbours: int = NEIGHBOURS,
) -> Estimate:
    """The neighbour purity from the points of a sample, whose neighbours are sought among all points.

    Args:
        points: n of them, at least 2.
        classes: of every point.
        sample: different points.
        neighbours: as for `neighbour_purity`.
    """
    shares = _have_the_class(points, classes, neighbours, sample).double().mean(dim=1)
    return estimate(shares, len(points))


def _have_the_class(
    points: Float[Tensor, "n d"],
    classes: Int64[Tensor, " n"],
    neighbours: int,
    sample: Int64[Tensor, " s"] | None = None,
) -> Bool[Tensor, "s m"]:
    """Of every point, or of those of the sample, and each of its nearest others: whether they are of one class."""
    count = neighbours_of(len(points), neighbours)
    if points.device.type == "cpu":
        others = _nearest_others(points, count, sample)
    else:
        others = nearest_on_device(points, count + 1, sample)[0][:, 1:]
    own = classes if sample is None else classes[sample]
    return classes[others] == own[:, None]


def _nearest_others(
    points: Float[Tensor, "n d"], count: int, sample: Int64[Tensor, " s"] | None
) -> Int64[Tensor, "s m"]:
    # Centred and scaled: no neighbour changes, and the distances neither overflow nor lose digits.
    centred = points.float() - points.float().mean(dim=0)
    centred /= centred.abs().max().clamp(min=torch.finfo(torch.float32).tiny)
    vectors = np.ascontiguousarray(centred.numpy())
    index = faiss.IndexFlatL2(vectors.shape[1])
    index.add(vectors)
    own = np.arange(len(vectors)) if sample is None else sample.numpy()
    _, found = index.search(vectors if sample is None else vectors[own], count + 1)
    return torch.from_numpy(_without_self(found, own))


def _without_self(found: Int64[np.ndarray, "s nearest"], own: Int64[np.ndarray, " s"]) -> Int64[np.ndarray, "s _"]:
    """Every row without its own number, or without its last one where duplicates crowded it out."""
    keep = found != own[:, None]
    keep[keep.all(axis=1), -1] = False
    others: Int64[np.ndarray, "s _"] = found[keep].reshape(len(found), -1)
    return others
