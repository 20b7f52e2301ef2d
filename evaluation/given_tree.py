"""A method's own tree of its clusters, measured on some images: without empty clusters, and with heights."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float64, Int64
from torch import Tensor


def without_empty(
    merges: Int64[Tensor, "k_less_1 2"], leaves: Int64[Tensor, " m"]
) -> tuple[Int64[np.ndarray, "m_less_1 2"], Int64[Tensor, " k"]]:
    """The tree of the clusters that hold images, and the leaf that every cluster goes with.

    An empty cluster goes with the first leaf of those that it is merged with.

    Args:
        merges: of k clusters, as `methods.base.TreeMethod` has them.
        leaves: the clusters that hold images, ascending; they are the new tree's leaves 0 to m - 1.
    """
    k, kept = len(merges) + 1, leaves.tolist()
    leaf_of = torch.zeros(k, dtype=torch.int64)
    leaf_of[leaves] = torch.arange(len(kept))
    held = set(kept)
    # For every node the clusters below it, and its number in the new tree.
    below = [[cluster] for cluster in range(k)]
    numbers = [kept.index(cluster) if cluster in held else None for cluster in range(k)]
    rows: list[list[int]] = []
    for first, second in merges.tolist():
        a, b = numbers[first], numbers[second]
        if a is None or b is None:
            numbers.append(b if a is None else a)
            filled = [cluster for cluster in (*below[first], *below[second]) if cluster in held]
            if filled:
                leaf_of[below[first if a is None else second]] = leaf_of[min(filled)].clone()
        else:
            rows.append([a, b])
            numbers.append(len(kept) + len(rows) - 1)
        below.append(below[first] + below[second])
    return np.array(rows, dtype=np.int64).reshape(-1, 2), leaf_of


def measured(
    merges: Int64[np.ndarray, "m_less_1 2"], means: Float64[np.ndarray, "m d"], counts: Int64[np.ndarray, " m"]
) -> Float64[np.ndarray, "m_less_1 4"]:
    """The linkage of a tree, in scipy's format, with rows by ascending height.

    A height is √(2 Δ), with what the merge adds to the sum of squares within clusters, Δ = n_a n_b / (n_a + n_b)
    |m_a - m_b|², and at least the heights of the two nodes merged.

    Args:
        merges: of m leaves, each with images.
        means: of the leaves' images.
        counts: the leaves' numbers of images.
    """
    m = len(counts)
    centres, weights, leaves = list(means), counts.astype(np.float64).tolist(), [1] * m
    heights = [0.0] * m
    for first, second in merges.tolist():
        total = weights[first] + weights[second]
        added = weights[first] * weights[second] / total * np.square(centres[first] - centres[second]).sum()
        heights.append(max(float(np.sqrt(2 * added)), heights[first], heights[second]))
        centres.append((weights[first] * centres[first] + weights[second] * centres[second]) / total)
        weights.append(total)
        leaves.append(leaves[first] + leaves[second])
    # Stable, so that a node stays behind those below it where heights are equal.
    order = np.argsort(heights[m:], kind="stable")
    numbers = [*range(m), *(m + np.argsort(order)).tolist()]
    rows = [[*sorted(numbers[node] for node in merges[row]), heights[m + row], leaves[m + row]] for row in order]
    return np.array(rows, dtype=np.float64).reshape(-1, 4)
