"""A method's own tree where the merge tree stands for other methods: its heights, its groups, empty clusters."""

from __future__ import annotations

import matplotlib
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.cluster.hierarchy import is_monotonic, is_valid_linkage

from data.image_set import ImageSet
from evaluation.merge_tree import cut, merge_tree, merged
from evaluation.predictions import Predictions
from methods.base import Assignments
from report.figures.dendrogram import dendrogram
from tests.test_dendrogram_purity import random_tree


def predict(points: list[list[float]] | torch.Tensor, labels: list[int], tree: object) -> Predictions:
    embedding = torch.as_tensor(points, dtype=torch.float32)
    images = torch.arange(len(labels), dtype=torch.uint8)[:, None, None, None].repeat(1, 1, 4, 4)
    merges = torch.as_tensor(tree, dtype=torch.int64)
    return Predictions(
        ImageSet("made", "train", images),
        embedding,
        Assignments(torch.tensor(labels)),
        len(merges) + 1,
        "z",
        tree=merges,
    )


def test_a_tree_of_four_by_hand() -> None:
    # Means 0, 4, 1 and 10 of 2, 1, 1 and 1 images. 0 with 1: 2·1/3·16; 2 with 3: 1/2·81; both: means 4/3 and 5.5.
    found = predict([[-1.0], [1.0], [4.0], [1.0], [10.0]], [0, 0, 1, 2, 3], [[2, 3], [0, 1], [4, 5]])
    tree = merge_tree(found)
    last = 2 * (3 * 2 / 5) * (5.5 - 4 / 3) ** 2
    assert tree.linkage.tolist() == [
        pytest.approx([0, 1, (64 / 3) ** 0.5, 2]),
        pytest.approx([2, 3, 9, 2]),
        pytest.approx([4, 5, max(last, 81) ** 0.5, 4]),
    ]
    assert cut(tree, 2).tolist() == [0, 0, 1, 1]  # Ward would join 0 and 2
    assert cut(tree, 3).tolist() == [0, 0, 1, 2]
    groups = merged(found, 2)
    assert groups.assignments.labels.tolist() == [0, 0, 0, 1, 1]
    assert groups.tree is None


def test_a_node_is_at_least_as_high_as_those_below_it() -> None:
    # 0 and 10 first, then the one between them, which adds nothing.
    tree = merge_tree(predict([[0.0], [10.0], [5.0]], [0, 1, 2], [[0, 1], [3, 2]]))
    assert tree.heights.tolist() == pytest.approx([10, 10])
    assert cut(tree, 2).tolist() == [0, 0, 1]


def test_an_empty_cluster_goes_with_what_it_is_merged_with() -> None:
    # Clusters 1, 3 and 4 are empty; 3 and 4 are one node, which comes to cluster 2.
    tree = merge_tree(predict([[0.0], [6.0]], [0, 2], [[3, 4], [5, 2], [0, 1], [6, 7]]))
    assert tree.leaves.tolist() == [0, 2]
    assert tree.leaf_of.tolist() == [0, 0, 1, 1, 1]
    assert tree.linkage.tolist() == [pytest.approx([0, 1, 6, 2])]


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), clusters=st.integers(1, 9), n=st.integers(1, 20))
def test_it_is_a_linkage_of_scipys_with_the_groups_of_the_given_tree(seed: int, clusters: int, n: int) -> None:
    generator = np.random.default_rng(seed)
    merges = random_tree(generator, clusters)
    labels = generator.integers(clusters, size=n).tolist()
    tree = merge_tree(predict(torch.from_numpy(generator.normal(size=(n, 2))), labels, merges))
    used = sorted(set(labels))
    assert tree.leaves.tolist() == used
    if len(used) > 1:
        assert is_valid_linkage(tree.linkage)
        assert is_monotonic(tree.linkage)
    nodes = [{cluster} for cluster in range(clusters)]
    for first, second in merges.tolist():
        nodes.append(nodes[first] | nodes[second])
    allowed = {frozenset(node & set(used)) for node in nodes}
    for groups in range(1, len(used) + 1):
        found = cut(tree, groups)
        parts = {group: frozenset(c for c in used if found[c] == group) for group in range(groups)}
        assert set(parts.values()) <= allowed


def test_the_figure_shows_the_methods_own_tree() -> None:
    found = predict([[0.0], [1.0], [1.0], [9.0]], [0, 1, 1, 2], [[0, 2], [1, 3]])
    figure = dendrogram(found)
    assert figure is not None
    text = "\n".join(text.get_text() for text in figure.findobj(matplotlib.text.Text))
    assert "the method's own tree" in text
    assert "Ward" not in text
    order = [label.get_text().splitlines()[0].split(",")[0] for label in figure.axes[1].get_yticklabels()]
    assert abs(order.index("cluster 0") - order.index("cluster 2")) == 1
