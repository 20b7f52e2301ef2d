"""Dendrogram purity: how pure a tree of clusters is, at every height at once.

Sources: Heller, Ghahramani, "Bayesian Hierarchical Clustering", ICML 2005; Kobren, Monath, Krishnamurthy, McCallum, "A
Hierarchical Algorithm for Extreme Clustering", KDD 2017, where the mean is over all pairs.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Int64

from evaluation.contingency import contingency
from evaluation.merge_tree import merge_tree
from evaluation.predictions import Predictions


def dendrogram_purity(merges: Int64[np.ndarray, "merges 2"], leaves: Int64[np.ndarray, "m classes"]) -> float | None:
    """The mean of a node's purity over all pairs of two points of one class, 0 to 1; 1 where no node mixes two classes.

    The node of a pair is the lowest that has both points below it. Its purity is the share of its points that are of
    their class. A node with n_a and n_b points of a class below its two children is that of n_a n_b pairs, and a leaf
    with n points that of n (n - 1) / 2, so that no pair is looked at: O(nodes · classes).

    Args:
        merges: the two nodes below every inner one; the m leaves are the nodes 0 to m - 1, and the node of row r is
            number m + r. A row comes after its own nodes'.
        leaves: how many points of every class each leaf has.

    Returns:
        None where no two points are of one class.
    """
    counts = [row.astype(np.float64) for row in leaves]
    pairs = [row * (row - 1) / 2 for row in counts]
    for first, second in merges.tolist():
        pairs.append(counts[first] * counts[second])
        counts.append(counts[first] + counts[second])
    weights, points = np.stack(pairs), np.stack(counts)
    total = weights.sum()
    purities = points / np.maximum(points.sum(axis=1, keepdims=True), 1)
    return float((weights * purities).sum() / total) if total else None


def tree_purity(predictions: Predictions) -> float | None:
    """Dendrogram purity of the tree of the clusters: the method's own, or else the merge tree; None without labels."""
    if predictions.images.labels is None:
        return None
    tree = merge_tree(predictions)
    table = contingency(predictions.images.labels, predictions.assignments.labels, cluster_count=predictions.clusters)
    return dendrogram_purity(tree.linkage[:, :2].astype(np.int64), table[:, tree.leaves.numpy()].T)
