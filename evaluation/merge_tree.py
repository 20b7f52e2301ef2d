"""Broader clusters: which of the clusters found belong together, as a tree that can be cut at any number."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from evaluation.given_tree import measured, without_empty
from evaluation.predictions import EvaluationError, Predictions, members, sizes
from methods.base import Assignments


@dataclass(frozen=True)
class MergeTree:
    """Clusters merged two by two until one is left.

    Attributes:
        linkage: (m - 1, 4), one row a merge of the m leaves, in scipy's format: the two nodes merged (a leaf's number,
            or m + the number of an earlier row), the height, and the number of leaves below. Heights never fall.
        leaves: (m,), the cluster of every leaf, ascending: the clusters that hold an image.
        leaf_of: (k,), the leaf that every cluster goes with: its own, or for an empty one another's.
    """

    linkage: Float64[np.ndarray, "merges 4"]
    leaves: Int64[Tensor, " m"]
    leaf_of: Int64[Tensor, " k"]

    @property
    def heights(self) -> Float64[np.ndarray, " merges"]:
        """The height of every merge, ascending."""
        return self.linkage[:, 2]


def merge_tree(predictions: Predictions) -> MergeTree:
    """The method's own tree of its clusters, or else their tree by Ward's criterion in the space of the clusters.

    By Ward's criterion, next are always the two clusters a and b whose union raises the sum of squares within clusters
    least, by Δ = n_a n_b / (n_a + n_b) |m_a - m_b|², with the images' counts n and means m. The height is √(2 Δ), which
    is the distance for two single images, as in scipy. Ward, 1963, "Hierarchical grouping to optimize an objective
    function".

    An empty cluster is no leaf, since merging it costs nothing anywhere. It goes with the cluster whose mean is
    nearest to its centroid (what Δ tends to as n falls to 0), or, without centroids, with the first.

    In a method's own tree the heights are those of the same Δ, and at least those of the nodes below. An empty cluster
    goes with the first one that it is merged with.
    """
    labels, embedding = predictions.assignments.labels, predictions.embedding
    counts = sizes(labels, predictions.clusters)
    leaves = counts.nonzero().flatten()
    means = torch.stack([embedding[members(labels, j)].mean(dim=0, dtype=torch.float64) for j in leaves.tolist()])
    if predictions.tree is not None:
        merges, leaf_of = without_empty(predictions.tree, leaves)
        return MergeTree(measured(merges, means.numpy(), counts[leaves].numpy()), leaves, leaf_of)
    leaf_of = torch.zeros(predictions.clusters, dtype=torch.int64)
    if predictions.centroids is not None:
        leaf_of = torch.cdist(predictions.centroids.double(), means).argmin(dim=1)
    leaf_of[leaves] = torch.arange(len(leaves))
    return MergeTree(_ward(means.numpy(), counts[leaves].numpy()), leaves, leaf_of)


def cut(tree: MergeTree, groups: int) -> Int64[Tensor, " k"]:
    """The group of every cluster, (k,), when the tree is cut into `groups`, numbered by their first clusters.

    Raises:
        EvaluationError: fewer than one group, or more than there are clusters with images.
    """
    count = len(tree.leaves)
    if not 1 <= groups <= count:
        raise EvaluationError(
            f"cannot cut the tree into {groups} groups: {count} clusters hold images; ask for 1 to {count}."
        )
    below: dict[int, list[int]] = {leaf: [leaf] for leaf in range(count)}
    for row, (first, second) in enumerate(tree.linkage[: count - groups, :2].astype(int).tolist()):
        below[count + row] = below.pop(first) + below.pop(second)
    group_of_leaf = torch.empty(count, dtype=torch.int64)
    for group, leaves in enumerate(sorted(below.values(), key=min)):
        group_of_leaf[leaves] = group
    return group_of_leaf[tree.leaf_of]


def merged(predictions: Predictions, groups: int) -> Predictions:
    """`predictions` with the clusters merged into `groups` broader ones.

    An image goes where its cluster goes. A group's probability is the sum of its clusters', its centroid their mean
    weighted by their images. Nothing decodes such a centroid, and the
    method's own criterion is not that of the groups.

    Raises:
        EvaluationError: as `cut`.
    """
    group = cut(merge_tree(predictions), groups)
    labels, probabilities = predictions.assignments.labels, predictions.assignments.probabilities
    belongs = torch.nn.functional.one_hot(group, groups).double()  # (k, groups)
    summed = None if probabilities is None else (probabilities.double() @ belongs).to(probabilities.dtype)
    centroids = None
    if predictions.centroids is not None:
        weights = belongs * sizes(labels, predictions.clusters)[:, None]
        means = (weights / weights.sum(dim=0)).T @ predictions.centroids.double()
        centroids = means.to(predictions.centroids.dtype)
    return replace(
        predictions,
        assignments=Assignments(group[labels], summed),
        clusters=groups,
        centroids=centroids,
        decoded_centroids=None,
        criteria={},
        noise=None,
        tree=None,
    )


def _ward(means: Float64[np.ndarray, "m d"], counts: Int64[np.ndarray, " m"]) -> Float64[np.ndarray, "merges 4"]:
    """Ward's merges of groups given by their means and numbers of images."""
    weights, means, leaves = counts.astype(np.float64), means.copy(), np.ones(len(counts))
    nodes = np.arange(len(counts))  # the node that stands in each place; a merged pair keeps the first one's place
    cost = np.stack([_increase(means, weights, place) for place in range(len(counts))])
    linkage = np.empty((len(counts) - 1, 4))
    for row in range(len(linkage)):
        first, second = divmod(int(cost.argmin()), len(cost))  # symmetric, so that the first place is the lower
        height = np.sqrt(2 * cost[first, second])
        leaves[first] += leaves[second]
        linkage[row] = [*sorted(nodes[[first, second]]), height, leaves[first]]
        means[first] = np.average(means[[first, second]], axis=0, weights=weights[[first, second]])
        weights[first] += weights[second]
        weights[second] = 0
        nodes[first] = len(counts) + row
        cost[first] = cost[:, first] = _increase(means, weights, first)
        cost[second] = cost[:, second] = np.inf
    return linkage


def _increase(
    means: Float64[np.ndarray, "m d"], weights: Float64[np.ndarray, " m"], place: int
) -> Float64[np.ndarray, " m"]:
    """What merging `place` with every other adds to the sum of squares; infinite with itself and with those gone."""
    added = weights * weights[place] / (weights + weights[place]) * np.square(means - means[place]).sum(axis=1)
    added[place] = np.inf
    added[weights == 0] = np.inf
    return np.asarray(added)
