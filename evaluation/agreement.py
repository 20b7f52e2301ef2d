"""Agreement of a clustering with the classes, from information theory and from counting pairs.

Logarithms are natural. Edge conventions are scikit-learn's: with a single class and a single cluster every
score is 1; where only one of the two is single, NMI and AMI are 0, homogeneity is 1 for a single class and
completeness is 1 for a single cluster. Empty classes and clusters change nothing.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64, Int64
from scipy.special import entr, gammaln

from evaluation.contingency import accuracy, balanced_accuracy, purity


def agreement(table: Int64[np.ndarray, "classes clusters"]) -> dict[str, float]:
    """Every score of agreement, by its key in the evaluator's rows."""
    return {
        "acc": accuracy(table),
        "nmi": normalised_mutual_information(table),
        "ari": adjusted_rand_index(table),
        "ami": adjusted_mutual_information(table),
        "purity": purity(table),
        "homogeneity": homogeneity(table),
        "completeness": completeness(table),
        "balanced_acc": balanced_accuracy(table),
    }


def entropy(sizes: Int64[np.ndarray, " groups"]) -> float:
    """H of the partition with these group sizes, in nats, at least 0."""
    return float(entr(sizes / sizes.sum()).sum())


def mutual_information(table: Int64[np.ndarray, "classes clusters"]) -> float:
    """MI(classes; clusters) in nats, at least 0: the sum over cells of n_ij / n log(n n_ij / (a_i b_j))."""
    n = table.sum()
    classes, clusters = np.nonzero(table)
    counts, a, b = table[classes, clusters], table.sum(1)[classes], table.sum(0)[clusters]
    # Two logarithms, so that a single class or cluster gives exactly 0.
    information = counts / n * (np.log(counts / a) - np.log(b / n))
    # Rounding can leave a tiny negative sum for independent partitions.
    return max(0.0, float(information.sum()))


def normalised_mutual_information(table: Int64[np.ndarray, "classes clusters"]) -> float:
    """NMI, 0 to 1: mutual information over the arithmetic mean of both entropies."""
    if is_perfect(table):
        return 1.0
    return mutual_information(table) / _mean_entropy(table)


def homogeneity(table: Int64[np.ndarray, "classes clusters"]) -> float:
    """0 to 1: how far the cluster tells the class, MI / H(classes).

    Rosenberg and Hirschberg, 2007, "V-Measure", eq. 1.
    """
    class_entropy = entropy(table.sum(1))
    return min(1.0, mutual_information(table) / class_entropy) if class_entropy > 0 else 1.0


def completeness(table: Int64[np.ndarray, "classes clusters"]) -> float:
    """0 to 1: how far the class tells the cluster, MI / H(clusters).

    Rosenberg and Hirschberg, 2007, "V-Measure", eq. 2.
    """
    return homogeneity(table.T)


def adjusted_rand_index(table: Int64[np.ndarray, "classes clusters"]) -> float:
    """ARI, -0.5 to 1: agreement over pairs of samples, 0 on average for random partitions.

    (index - E[index]) / (maximal index - E[index]), where the index is the number of pairs together in both.
    Hubert and Arabie, 1985, "Comparing partitions".
    """
    if is_perfect(table):
        return 1.0
    together = _pairs(table).sum()
    in_class, in_cluster = _pairs(table.sum(1)).sum(), _pairs(table.sum(0)).sum()
    expected = in_class * in_cluster / _pairs(table.sum())
    return float((together - expected) / ((in_class + in_cluster) / 2 - expected))


def adjusted_mutual_information(table: Int64[np.ndarray, "classes clusters"]) -> float:
    """AMI, at most 1: mutual information with what chance explains taken away, 0 on average for random ones.

    (MI - E[MI]) / (mean of the entropies - E[MI]). Vinh, Epps and Bailey, 2010, "Information theoretic
    measures for clusterings comparison: variants, properties, normalization and correction for chance"
    (AMI_sum).
    """
    # Includes the one case where the denominator vanishes: every permutation of the samples agrees perfectly.
    if is_perfect(table):
        return 1.0
    expected = expected_mutual_information(table)
    return (mutual_information(table) - expected) / (_mean_entropy(table) - expected)


def expected_mutual_information(table: Int64[np.ndarray, "classes clusters"]) -> float:
    """E[MI] in nats over all tables with the same class and cluster sizes, drawn by permuting the samples.

    Vinh, Epps and Bailey, 2010: a count n_ij is hypergeometric given the sizes a_i and b_j, so that E[MI] is
    the sum over i, j and n_ij of n_ij / n log(n n_ij / (a_i b_j)) P(n_ij | a_i, b_j, n). Classes of one size
    contribute the same, as do clusters of one size. One class size is computed at a time: its counts run
    over at most n values in all, which bounds the memory.
    """
    n = int(table.sum())
    log_factorial = gammaln(np.arange(n + 1) + 1.0)
    cluster_sizes, clusters = np.unique(table.sum(0), return_counts=True)
    total = 0.0
    for a, classes in zip(*np.unique(table.sum(1), return_counts=True), strict=True):
        total += classes * _expected_of_class(int(a), cluster_sizes, clusters, log_factorial)
    return float(total)


def _expected_of_class(
    a: int,
    cluster_sizes: Int64[np.ndarray, " sizes"],
    clusters: Int64[np.ndarray, " sizes"],
    log_factorial: Float64[np.ndarray, " counts"],
) -> float:
    """The share of E[MI] that a class of size `a` contributes with `clusters[j]` clusters of every size."""
    n = len(log_factorial) - 1
    lowest = np.maximum(1, a + cluster_sizes - n)
    lengths = np.maximum(0, np.minimum(a, cluster_sizes) - lowest + 1)
    # The ranges lowest..min(a, b) of all cluster sizes, one after the other.
    starts = np.cumsum(lengths) - lengths
    count = np.arange(lengths.sum()) + np.repeat(lowest - starts, lengths)
    b = np.repeat(cluster_sizes, lengths)
    log_probability = (
        log_factorial[a]
        + log_factorial[b]
        + log_factorial[n - a]
        + log_factorial[n - b]
        - log_factorial[n]
        - log_factorial[count]
        - log_factorial[a - count]
        - log_factorial[b - count]
        - log_factorial[n - a - b + count]
    )
    information = count / n * (np.log(count / a) - np.log(b / n))
    return float((np.repeat(clusters, lengths) * information * np.exp(log_probability)).sum())


def is_perfect(table: Int64[np.ndarray, "classes clusters"]) -> bool:
    """Whether classes and clusters are the same partition under other names."""
    occupied = table > 0
    return bool((occupied.sum(0) <= 1).all() and (occupied.sum(1) <= 1).all())


def _mean_entropy(table: Int64[np.ndarray, "classes clusters"]) -> float:
    return (entropy(table.sum(1)) + entropy(table.sum(0))) / 2


def _pairs(counts: Int64[np.ndarray, ...] | np.int64) -> Float64[np.ndarray, ...] | np.float64:
    # In float64, since products of numbers of pairs overflow int64 from n = 100,000 on.
    return counts * (counts - 1.0) / 2
