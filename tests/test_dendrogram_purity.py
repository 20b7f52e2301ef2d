"""Dendrogram purity against all pairs by brute force, and by hand; where tables have it."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from data.image_set import ImageSet
from evaluation.dendrogram_purity import dendrogram_purity, tree_purity
from evaluation.evaluate import evaluate
from evaluation.predictions import Predictions
from methods.base import Assignments
from report.table import render


def random_tree(generator: np.random.Generator, leaves: int) -> np.ndarray:
    nodes, rows = list(range(leaves)), []
    while len(nodes) > 1:
        pair = [nodes.pop(int(generator.integers(len(nodes)))) for _ in range(2)]
        rows.append(pair)
        nodes.append(leaves + len(rows) - 1)
    return np.array(rows, dtype=np.int64).reshape(-1, 2)


def by_pairs(merges: np.ndarray, leaf_of: np.ndarray, classes: np.ndarray, leaves: int) -> float | None:
    """Every pair of one class, and the smallest node that holds both."""
    below = [{leaf} for leaf in range(leaves)]
    for first, second in merges.tolist():
        below.append(below[first] | below[second])
    purities = []
    for a, b in itertools.combinations(range(len(classes)), 2):
        if classes[a] == classes[b]:
            lowest = min((node for node in below if {leaf_of[a], leaf_of[b]} <= node), key=len)
            inside = np.isin(leaf_of, list(lowest))
            purities.append((classes[inside] == classes[a]).mean())
    return float(np.mean(purities)) if purities else None


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000), n=st.integers(1, 25), leaves=st.integers(1, 7), classes=st.integers(1, 4))
def test_it_is_that_of_all_pairs(seed: int, n: int, leaves: int, classes: int) -> None:
    generator = np.random.default_rng(seed)
    merges = random_tree(generator, leaves)
    leaf_of, labels = generator.integers(leaves, size=n), generator.integers(classes, size=n)
    table = np.zeros((leaves, classes), dtype=np.int64)
    np.add.at(table, (leaf_of, labels), 1)
    expected = by_pairs(merges, leaf_of, labels, leaves)
    assert dendrogram_purity(merges, table) == (None if expected is None else pytest.approx(expected))


def test_by_hand() -> None:
    # Leaf 0 has 2 of class a, leaf 1 has 1 of a and 1 of b, leaf 2 has 1 of b. Pairs of a: 1 in leaf 0 at purity 1 and
    # 2 at the node of leaves 0 and 1, 3 of 4. The pair of b meets at the root, 2 of 5.
    leaves = np.array([[2, 0], [1, 1], [0, 1]])
    assert dendrogram_purity(np.array([[0, 1], [3, 2]]), leaves) == pytest.approx((1 + 2 * 3 / 4 + 2 / 5) / 4)


def test_its_ends() -> None:
    pure = np.array([[3, 0], [2, 0], [0, 4]])
    assert dendrogram_purity(np.array([[0, 1], [3, 2]]), pure) == 1
    # Joined the other way, a's 6 pairs across leaves meet at the root, 5 of 9.
    assert dendrogram_purity(np.array([[0, 2], [3, 1]]), pure) == pytest.approx((10 + 6 * 5 / 9) / 16)
    assert dendrogram_purity(np.array([[0, 1]]), np.array([[1, 0], [0, 1]])) is None  # no two of one class


def predictions(tree: list[list[int]] | None, labelled: bool = True) -> Predictions:
    classes = torch.tensor([0, 0, 0, 1, 1])
    images = torch.zeros(5, 1, 2, 2, dtype=torch.uint8)
    return Predictions(
        ImageSet("made", "test", images, classes if labelled else None, ("a", "b") if labelled else ()),
        torch.tensor([[0.0], [0.0], [9.0], [9.0], [1.0]]),
        Assignments(torch.tensor([0, 0, 1, 1, 3])),  # cluster 2 is empty
        4,
        "z (1-d)",
        tree=None if tree is None else torch.tensor(tree),
    )


def test_a_method_is_scored_by_its_own_tree() -> None:
    own = predictions([[0, 2], [1, 4], [5, 3]])  # 0 and 1, although 0 and 3 are nearer
    assert evaluate(own)["dendrogram_purity"] == tree_purity(own) == pytest.approx((1 + 2 * 3 / 4 + 2 / 5) / 4)
    assert evaluate(replace(own, images=predictions(None, labelled=False).images))["dendrogram_purity"] is None


def test_others_are_scored_by_the_merge_tree_where_it_is_asked_for() -> None:
    assert "dendrogram_purity" not in evaluate(predictions(None))
    # Ward: 0 and 3 first, which no pair of one class shares. The pairs across leaves meet at the root.
    assert tree_purity(predictions(None)) == pytest.approx((1 + 2 * 3 / 5 + 2 / 5) / 4)


@pytest.mark.parametrize("format", ["table", "markdown", "latex"])
def test_tables_show_it_where_a_row_has_it(format: str) -> None:
    row = {"title": "deepect", "data": "made", "split": "test", "seed": 0, "acc": 0.5, "n": 5, "k": 4}
    assert "0.432" in render([{**row, "dendrogram_purity": 0.4321}, row], format)
    assert "endrogram" not in render([row], format)
