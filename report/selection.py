"""Which images to show: typical and borderline members of a cluster, and draws that look at no label."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from evaluation.predictions import Predictions, members, sizes


def seeded_draw(n: int, size: int, seed: int = 0) -> Int64[Tensor, " m"]:
    """min(n, size) distinct positions below `n` in ascending order, the same for the same seed.

    The global random state is neither read nor changed.
    """
    generator = torch.Generator().manual_seed(seed)
    return torch.randperm(n, generator=generator)[:size].sort().values


def spread(labels: Int64[Tensor, " n"], count: int, seed: int = 0) -> Int64[Tensor, " m"]:
    """At most `count` positions taken from the clusters in turn, so that small clusters are seen too.

    One image of every cluster, then a second of every cluster, and so on; within a cluster in a seeded order.
    """
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(labels), generator=generator)
    by_cluster = order[labels[order].argsort(stable=True)]
    ordered = labels[by_cluster]
    turn = torch.arange(len(labels)) - torch.searchsorted(ordered, ordered)
    return by_cluster[turn.argsort(stable=True)][:count]


def centroids(predictions: Predictions) -> Float[Tensor, "k d"]:
    """The method's own centroids, or the clusters' means; infinite for an empty cluster without centroid."""
    if predictions.centroids is not None:
        return predictions.centroids
    labels, embedding = predictions.assignments.labels, predictions.embedding
    sums = embedding.new_zeros(predictions.clusters, embedding.shape[1]).index_add(0, labels, embedding)
    count = sizes(labels, predictions.clusters)[:, None]
    return torch.where(count > 0, sums / count, torch.inf)


def lowest(scores: Float[Tensor, " n"], labels: Int64[Tensor, " n"], cluster: int, count: int) -> Int64[Tensor, " m"]:
    """The at most `count` members of a cluster with the lowest scores, lowest first."""
    positions = members(labels, cluster)
    return positions[scores[positions].argsort(stable=True)[:count]]


def centroid_distances(predictions: Predictions) -> Float[Tensor, " n"]:
    """How far every image lies from the centroid of its own cluster; small is typical."""
    own = centroids(predictions)[predictions.assignments.labels]
    return (predictions.embedding - own).square().sum(dim=1).sqrt()


def margins(predictions: Predictions) -> Float[Tensor, " n"]:
    """How clearly every image belongs to one cluster rather than to another, at least 0; small is unclear.

    The gap between the two highest probabilities, or, without probabilities, between the distances to the
    two nearest centroids. Infinite where there is no second cluster.
    """
    if predictions.clusters < 2:
        return torch.full((len(predictions.embedding),), torch.inf)
    if predictions.assignments.probabilities is not None:
        best = predictions.assignments.probabilities.topk(2, dim=1).values
        return best[:, 0] - best[:, 1]
    reached = centroids(predictions)
    # cdist turns an infinite coordinate into NaN; an absent centroid is infinitely far.
    distances = torch.cdist(predictions.embedding, reached).nan_to_num(nan=torch.inf, posinf=torch.inf)
    nearest = distances.topk(2, dim=1, largest=False).values
    return nearest[:, 1] - nearest[:, 0]
