"""Classes against clusters: the contingency table, and the scores that are read off it by counting.

Scores take the table alone, so that it is counted once for all of them.
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Int64
from scipy.optimize import linear_sum_assignment
from torch import Tensor

UNMATCHED = -1


def contingency(
    classes: Int64[Tensor, " n"], clusters: Int64[Tensor, " n"], class_count: int = 0, cluster_count: int = 0
) -> Int64[np.ndarray, "classes clusters"]:
    """How many samples of every class are in every cluster.

    Args:
        classes: (n,), the class of every sample, from 0.
        clusters: (n,), the cluster of every sample, from 0.
        class_count: rows at least, for classes that no sample has.
        cluster_count: columns at least, for clusters that are empty.

    Raises:
        ValueError: different lengths, no samples, or a negative label.
    """
    if classes.shape != clusters.shape or len(classes) == 0:
        raise ValueError(
            f"classes and clusters need one and the same length of at least 1; "
            f"received {len(classes)} classes and {len(clusters)} clusters."
        )
    if min(int(classes.min()), int(clusters.min())) < 0:
        raise ValueError("classes and clusters are numbered from 0; received a negative number.")
    rows = max(class_count, int(classes.max()) + 1)
    columns = max(cluster_count, int(clusters.max()) + 1)
    cells = torch.bincount(classes * columns + clusters, minlength=rows * columns)
    return np.asarray(cells.reshape(rows, columns).cpu().numpy(), dtype=np.int64)


def match(table: Int64[np.ndarray, "classes clusters"]) -> Int64[np.ndarray, " clusters"]:
    """The class that every cluster stands for: the one-to-one matching that covers the most samples.

    Solved exactly as an assignment problem (Kuhn, 1955, "The Hungarian method for the assignment problem").
    With more clusters than classes the clusters left over are `UNMATCHED` (-1).
    """
    rows, columns = linear_sum_assignment(table, maximize=True)
    matching = np.full(table.shape[1], UNMATCHED, dtype=np.int64)
    matching[columns] = rows
    return matching


def accuracy(table: Int64[np.ndarray, "classes clusters"]) -> float:
    """ACC, 0 to 1: the share of samples in the cluster that `match` gives to their class.

    Xie, Girshick and Farhadi, 2016, "Unsupervised deep embedding for clustering analysis", section 4.2.
    Samples in unmatched clusters, and samples of unmatched classes, count as wrong.
    """
    matching = match(table)
    matched = np.flatnonzero(matching != UNMATCHED)
    return float(table[matching[matched], matched].sum() / table.sum())


def balanced_accuracy(table: Int64[np.ndarray, "classes clusters"]) -> float:
    """0 to 1: the mean over classes of the share of their samples in the cluster that is matched to them.

    Every class counts alike, however small; in ACC a class counts by its size. The matching is one that `accuracy`
    could have taken, so that both scores read one map from clusters to classes: of those that cover the most samples
    the one that is best here. A class without a cluster counts as 0, and a class without samples does not count. Where
    all classes are of one size, it is ACC.
    """
    sizes = table.sum(axis=1, keepdims=True)
    shares = table / np.maximum(sizes, 1)
    # The shares of a matching sum to less than len(table) + 1, so that they never outweigh one sample.
    rows, columns = linear_sum_assignment(table + shares / (len(table) + 1), maximize=True)
    return float(shares[rows, columns].sum() / (sizes > 0).sum())


def purity(table: Int64[np.ndarray, "classes clusters"]) -> float:
    """0 to 1: the share of samples that have the commonest class of their cluster.

    Many clusters may stand for one class, so purity never falls when a cluster is split, and is 1 when every
    sample is a cluster of its own. Manning, Raghavan and Schütze, 2008, "Introduction to Information
    Retrieval", eq. 16.1.
    """
    return float(table.max(axis=0).sum() / table.sum())
