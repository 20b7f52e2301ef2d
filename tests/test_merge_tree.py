"""The merge tree, against scipy for single points, and against sums of squares worked out by brute force."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.cluster.hierarchy import fcluster, is_monotonic, is_valid_linkage, linkage

from data.image_set import ImageSet
from evaluation.merge_tree import cut, merge_tree, merged
from evaluation.predictions import EvaluationError, Predictions
from methods.base import Assignments


def predict(points, labels, clusters, probabilities=None, centroids=None) -> Predictions:
    images = ImageSet("made", "train", torch.zeros(len(points), 1, 2, 2, dtype=torch.uint8))
    table = None if probabilities is None else torch.tensor(probabilities)
    centres = None if centroids is None else torch.tensor(centroids)
    embedding = torch.as_tensor(points, dtype=torch.float32)
    return Predictions(images, embedding, Assignments(torch.as_tensor(labels), table), clusters, "made", centres)


def random_predictions(seed: int, n: int, clusters: int) -> Predictions:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(clusters, (n,), generator=generator)
    return predict(torch.randn(n, 3, generator=generator) + labels[:, None], labels, clusters)


def within(points: np.ndarray, groups: list[np.ndarray]) -> float:
    return float(sum(np.square(points[group] - points[group].mean(axis=0)).sum() for group in groups))


def brute_force(points: np.ndarray, labels: np.ndarray) -> tuple[list[float], list[set[frozenset[int]]]]:
    """Heights and partitions of clusters: every pair is tried, and all sums of squares are computed anew."""
    parts = [frozenset([int(cluster)]) for cluster in np.unique(labels)]

    def cost(partition: list[frozenset[int]]) -> float:
        return within(points, [np.flatnonzero(np.isin(labels, list(part))) for part in partition])

    heights, partitions = [], [set(parts)]
    while len(parts) > 1:
        options = [[part for part in parts if part not in pair] + [pair[0] | pair[1]]
                   for pair in itertools.combinations(parts, 2)]  # fmt: skip
        best = min(options, key=cost)
        heights.append(np.sqrt(2 * (cost(best) - cost(parts))))
        parts = best
        partitions.append(set(parts))
    return heights, partitions


def same_groups(groups: torch.Tensor, leaves: list[int]) -> set[frozenset[int]]:
    return {frozenset(j for j in leaves if groups[j] == group) for group in {int(groups[j]) for j in leaves}}


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), n=st.integers(2, 14))
def test_clusters_of_one_image_give_scipys_ward_tree(seed, n):
    points = np.random.default_rng(seed).normal(size=(n, 3)).astype(np.float32)
    tree = merge_tree(predict(points, torch.arange(n), n))
    assert tree.linkage == pytest.approx(linkage(points.astype(np.float64), "ward"))


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), clusters=st.integers(2, 6))
def test_heights_and_groups_are_those_of_brute_force(seed, clusters):
    predictions = random_predictions(seed, 30, clusters)
    labels = predictions.assignments.labels.numpy()
    heights, partitions = brute_force(predictions.embedding.double().numpy(), labels)
    tree = merge_tree(predictions)
    assert tree.heights == pytest.approx(heights, rel=1e-5)
    for partition in partitions:
        assert same_groups(cut(tree, len(partition)), tree.leaves.tolist()) == partition


def test_the_linkage_is_valid_for_scipy_and_cut_there_alike():
    predictions = random_predictions(3, 200, 12)
    tree = merge_tree(predictions)
    assert is_valid_linkage(tree.linkage)
    assert is_monotonic(tree.linkage)
    for groups in range(1, 13):
        expected = fcluster(tree.linkage, groups, "maxclust")
        assert same_groups(cut(tree, groups), list(range(12))) == {
            frozenset(np.flatnonzero(expected == group).tolist()) for group in np.unique(expected)
        }


def test_a_tree_of_three_by_hand():
    # Means 0, 4 and 10 of 3, 1 and 2 images. Increases: 3·1/4·16 = 12, 1·2/3·36 = 24. Then the mean is 1 of 4 images
    # against 10 of 2: 4·2/6·81 = 108.
    tree = merge_tree(predict([[-1.0], [0.0], [1.0], [4.0], [9.0], [11.0]], [2, 2, 2, 0, 1, 1], 3))
    assert tree.linkage.tolist() == [
        pytest.approx([0, 2, 24**0.5, 2]),
        pytest.approx([1, 3, 216**0.5, 3]),
    ]
    assert cut(tree, 3).tolist() == [0, 1, 2]
    assert cut(tree, 2).tolist() == [0, 1, 0]
    assert cut(tree, 1).tolist() == [0, 0, 0]


def test_weights_decide_what_means_alone_would_not():
    # The means 0 and 3 are closest, but of 50 images each: 50·50/100·9 = 225, against 50/51·16 = 15.7 for 3 and 7.
    points = [[0.0]] * 50 + [[3.0]] * 50 + [[7.0]]
    tree = merge_tree(predict(points, [0] * 50 + [1] * 50 + [2], 3))
    assert cut(tree, 2).tolist() == [0, 1, 1]


def test_an_empty_cluster_is_no_leaf_and_goes_with_the_nearest():
    points, labels = [[0.0], [1.0], [10.0]], [1, 1, 3]
    tree = merge_tree(predict(points, labels, 5, centroids=[[9.0], [0.5], [0.0], [10.0], [50.0]]))
    assert tree.leaves.tolist() == [1, 3]
    assert tree.linkage.tolist() == [pytest.approx([0, 1, (2 * 2 / 3 * 9.5**2) ** 0.5, 2])]
    # Cluster 0 is empty, near to cluster 3, and comes first.
    assert cut(tree, 2).tolist() == [1, 0, 0, 1, 1]
    assert cut(merge_tree(predict(points, labels, 5)), 2).tolist() == [0, 0, 0, 1, 0]


def test_one_cluster_is_a_tree_without_merges():
    tree = merge_tree(predict([[0.0], [1.0]], [1, 1], 2))
    assert tree.linkage.shape == (0, 4)
    assert cut(tree, 1).tolist() == [0, 0]


@pytest.mark.parametrize("groups", [-1, 0, 3, 4])
def test_a_number_that_cannot_be_cut_is_refused(groups):
    with pytest.raises(EvaluationError, match=rf"into {groups} groups: 2 clusters hold images; ask for 1 to 2"):
        cut(merge_tree(predict([[0.0], [1.0]], [0, 2], 3)), groups)


def test_merged_predictions_by_hand():
    predictions = predict(
        [[0.0], [1.0], [2.0], [20.0]],
        [0, 2, 2, 1],
        3,
        probabilities=[[0.5, 0.125, 0.375], [0.25, 0.25, 0.5], [0.0, 0.25, 0.75], [0.0, 1.0, 0.0]],
        centroids=[[1.0], [19.0], [4.0]],
    )
    broader = merged(replace(predictions, decoded_centroids=predictions.images.images[:3]), 2)
    assert broader.clusters == 2
    assert broader.assignments.labels.tolist() == [0, 0, 0, 1]
    assert broader.assignments.probabilities.tolist() == [[0.875, 0.125], [0.75, 0.25], [0.75, 0.25], [0.0, 1.0]]
    assert broader.centroids.flatten().tolist() == [(1.0 + 2 * 4.0) / 3, 19.0]
    assert broader.decoded_centroids is None
    assert broader.embedding is predictions.embedding


def test_merging_into_as_many_changes_nothing():
    predictions = random_predictions(0, 50, 5)
    same = merged(predictions, 5)
    assert torch.equal(same.assignments.labels, predictions.assignments.labels)
    assert same.centroids is None
    assert same.assignments.probabilities is None
