"""DBSCAN, block by block: its memory does not grow with the radius.

Sources: Ester, Kriegel, Sander, Xu, "A Density-Based Algorithm for Discovering Clusters in Large Spatial Databases
with Noise", KDD 1996; the bend of a curve: Satopää et al., "Finding a 'Kneedle' in a Haystack", ICDCSW 2011.
scikit-learn holds all neighbours of all points at once, which at a large radius no memory does.
"""

from __future__ import annotations

import torch  # first: torch and faiss each bring an OpenMP, and on macOS torch's must be loaded first

# isort: split
import faiss
import numpy as np
from jaxtyping import Float, Float64, Int, Int64
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from torch import Tensor

from clusterers.extension import nearest, without_products

BLOCK = 256  # points whose neighbours are held at a time: 12 bytes each, 180 MB at most among 60,000
NOISE = -1


def core_distances(points: Float[Tensor, "n d"], count: int) -> Float64[Tensor, " n"]:
    """Distance of every point to its `count`-th nearest, itself the first; infinite with fewer points than that."""
    if count > len(points):
        return torch.full((len(points),), torch.inf, dtype=torch.float64)
    return nearest(points, points, count)[0][:, -1].sqrt()


def knee(values: Float64[Tensor, " n"]) -> float:
    """The value where the ascending curve of `values` lies farthest below its chord, both axes scaled to 0 to 1."""
    curve = values.sort().values
    height = curve[-1] - curve[0]
    if height == 0:
        return float(curve[0])
    share = torch.linspace(0, 1, len(curve), dtype=torch.float64)
    return float(curve[(share - (curve - curve[0]) / height).argmax()])


def dbscan(points: Float[Tensor, "n d"], core: Float64[Tensor, " n"], radius: float) -> Int64[Tensor, " n"]:
    """The cluster of every point, 0 to clusters - 1 in the order of their first core points, or NOISE.

    Points whose core distance is at most `radius` are core points; those within `radius` of each other share a
    cluster. Of the others each goes with its nearest core point if that is within `radius`; the paper takes whichever
    cluster comes first, which depends on the order of the points. Clusters join by float32 distances.

    Args:
        points: finite values.
        core: `core_distances` of the points.
        radius: 0 or more.
    """
    labels = torch.full((len(points),), NOISE)
    is_core = core <= radius
    if not bool(is_core.any()):
        return labels
    labels[is_core] = linked(points[is_core], radius)
    others = (~is_core).nonzero()[:, 0]
    squared, neighbour = nearest(points[others], points[is_core], 1)
    near = squared[:, 0].sqrt() <= radius
    labels[others[near]] = labels[is_core][neighbour[near, 0]]
    return labels


def linked(points: Float[Tensor, "n d"], radius: float) -> Int64[Tensor, " n"]:
    """Connected components of the graph that joins points within `radius`, in the order of their first points."""
    x = points.float().contiguous().numpy()
    index = faiss.IndexFlatL2(x.shape[1])
    index.add(x)
    n = len(x)
    component: Int[np.ndarray, " n"] = np.arange(n)
    limit = float(np.nextafter(np.float32(radius**2), np.float32(np.inf)))  # faiss keeps distances below the limit
    for first in range(0, n, BLOCK):
        with without_products():
            ends, _, neighbours = index.range_search(x[first : first + BLOCK], limit)
        ours = component[first + np.arange(len(ends) - 1).repeat(np.diff(ends).astype(np.int64))]
        theirs = component[neighbours]
        apart = ours != theirs
        if apart.any():
            links = coo_array((np.ones(apart.sum(), dtype=np.int8), (ours[apart], theirs[apart])), shape=(n, n))
            component = connected_components(links, directed=False)[1][component]
    _, start, place = np.unique(component, return_index=True, return_inverse=True)
    return torch.from_numpy(start.argsort().argsort()[place])
