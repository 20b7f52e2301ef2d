"""The contingency table, Hungarian accuracy and purity against counts by hand and brute force."""

from itertools import permutations
from random import Random

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics.cluster import contingency_matrix

from evaluation.contingency import UNMATCHED, accuracy, balanced_accuracy, contingency, match, purity


@st.composite
def tables(draw: st.DrawFn, most: int = 5) -> np.ndarray:
    """Small tables with at least one sample, empty classes and clusters among them."""
    rows, columns = draw(st.integers(1, most)), draw(st.integers(1, most))
    counts = draw(st.lists(st.integers(0, 9), min_size=rows * columns, max_size=rows * columns))
    table = np.array(counts, dtype=np.int64).reshape(rows, columns)
    table[0, 0] += not table.any()
    return table


def best_by_brute_force(table: np.ndarray) -> int:
    """The most samples on a one-to-one matching, over all of them: pad to a square, try every order."""
    size = max(table.shape)
    square = np.zeros((size, size), dtype=int)
    square[: table.shape[0], : table.shape[1]] = table
    return max(sum(int(square[order[j], j]) for j in range(size)) for order in permutations(range(size)))


def test_counts_by_hand() -> None:
    classes = torch.tensor([0, 0, 0, 1, 1, 2])
    clusters = torch.tensor([1, 1, 0, 0, 3, 3])
    table = contingency(classes, clusters)
    assert table.tolist() == [[1, 2, 0, 0], [1, 0, 0, 1], [0, 0, 0, 1]]
    assert table.dtype == np.int64


def test_empty_classes_and_clusters_get_rows_and_columns_when_asked_for() -> None:
    table = contingency(torch.tensor([0, 1]), torch.tensor([1, 1]), class_count=3, cluster_count=4)
    assert table.tolist() == [[0, 1, 0, 0], [0, 1, 0, 0], [0, 0, 0, 0]]


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 6)), min_size=1, max_size=60))
def test_counts_equal_scikit_learn(pairs: list[tuple[int, int]]) -> None:
    classes, clusters = torch.tensor(pairs).T
    table = contingency(classes.contiguous(), clusters.contiguous())
    used = table[table.sum(1) > 0][:, table.sum(0) > 0]
    assert used.tolist() == contingency_matrix(classes.numpy(), clusters.numpy()).tolist()


@pytest.mark.parametrize(("classes", "clusters", "message"), [([], [], "at least 1"), ([0, -1], [0, 0], "negative")])
def test_unusable_labels_are_refused(classes: list[int], clusters: list[int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        contingency(torch.tensor(classes, dtype=torch.int64), torch.tensor(clusters, dtype=torch.int64))


def test_different_lengths_are_refused() -> None:
    # By the check of shapes (TypeError) where the tests install it.
    with pytest.raises((ValueError, TypeError)):
        contingency(torch.tensor([0, 1]), torch.tensor([0]))


def test_accuracy_by_hand_where_greedy_matching_fails() -> None:
    # Greedy takes the 6 and is left with 0; the best matching is 5 + 5.
    table = np.array([[6, 5], [5, 0]])
    assert match(table).tolist() == [1, 0]
    assert accuracy(table) == 10 / 16


def test_clusters_beyond_the_classes_count_as_wrong() -> None:
    table = np.array([[5, 0, 3], [0, 4, 0]])
    assert match(table).tolist() == [0, 1, UNMATCHED]
    assert accuracy(table) == 9 / 12
    assert purity(table) == 1.0


def test_classes_beyond_the_clusters_count_as_wrong() -> None:
    table = np.array([[5, 0], [0, 4], [3, 0]])
    assert match(table).tolist() == [0, 1]
    assert accuracy(table) == 9 / 12
    assert purity(table) == 9 / 12


@given(tables())
def test_accuracy_equals_brute_force(table: np.ndarray) -> None:
    assert accuracy(table) == pytest.approx(best_by_brute_force(table) / table.sum())


@given(tables())
def test_the_matching_is_one_to_one(table: np.ndarray) -> None:
    matched = [c for c in match(table).tolist() if c != UNMATCHED]
    assert len(set(matched)) == len(matched) == min(table.shape)
    assert all(0 <= c < table.shape[0] for c in matched)


@given(tables(), st.randoms(use_true_random=False))
def test_renaming_classes_and_clusters_changes_nothing(table: np.ndarray, random: Random) -> None:
    rows, columns = list(range(table.shape[0])), list(range(table.shape[1]))
    random.shuffle(rows)
    random.shuffle(columns)
    renamed = table[rows][:, columns]
    assert accuracy(renamed) == pytest.approx(accuracy(table))
    assert purity(renamed) == pytest.approx(purity(table))


@given(tables())
def test_accuracy_lies_between_chance_and_purity_and_is_symmetric(table: np.ndarray) -> None:
    assert 0 < accuracy(table) <= purity(table) <= 1
    assert accuracy(table.T) == pytest.approx(accuracy(table))


@given(st.lists(st.integers(1, 9), min_size=1, max_size=6), st.randoms(use_true_random=False))
def test_the_same_partition_scores_one(sizes: list[int], random: Random) -> None:
    order = list(range(len(sizes)))
    random.shuffle(order)
    table = np.diag(sizes)[order]
    assert accuracy(table) == purity(table) == 1.0


def test_purity_by_hand() -> None:
    assert purity(np.array([[3, 1, 0], [1, 2, 2], [0, 2, 1]])) == (3 + 2 + 2) / 12


def test_balanced_accuracy_by_hand() -> None:
    # 900, 50 and 50 samples; the large class is cut in two, and the small ones share a cluster. ACC matches one half
    # (500) and, of the small classes, one (50): 550 of 1,000, but recalls of 5/9, 1 and 0.
    table = np.array([[500, 400, 0], [0, 0, 50], [0, 0, 50]])
    assert accuracy(table) == pytest.approx(0.55)
    assert balanced_accuracy(table) == pytest.approx((500 / 900 + 1 + 0) / 3)
    # All in one cluster: the large class alone is found.
    assert balanced_accuracy(np.array([[900], [50], [50]])) == pytest.approx(1 / 3)
    # ACC takes the large cell (6), whatever it costs the class of two.
    assert balanced_accuracy(np.array([[6, 3], [2, 0]])) == pytest.approx((6 / 9 + 0) / 2)
    # Two matchings cover 5 samples. The one that finds all of the class of one is better here.
    assert balanced_accuracy(np.array([[5, 4], [1, 0]])) == pytest.approx((4 / 9 + 1) / 2)
    # A class that does not occur does not count.
    assert balanced_accuracy(np.array([[3, 0], [0, 0], [0, 2]])) == 1.0


@given(tables(most=4))
def test_balanced_accuracy_is_the_best_mean_recall_among_the_matchings_of_accuracy(table: np.ndarray) -> None:
    size = max(table.shape)
    square = np.zeros((size, size), dtype=int)
    square[: table.shape[0], : table.shape[1]] = table
    present = square.sum(axis=1) > 0
    recalls = np.divide(square, square.sum(axis=1, keepdims=True), where=present[:, None], out=np.zeros((size, size)))
    found = []
    for order in permutations(range(size)):
        rows = list(order)
        covered = int(square[rows, range(size)].sum())
        found.append((covered, float(recalls[rows, range(size)].sum() / present.sum())))
    most = max(covered for covered, _ in found)
    assert balanced_accuracy(table) == pytest.approx(max(recall for covered, recall in found if covered == most))


@given(st.integers(1, 9), st.integers(2, 5), st.data())
def test_balanced_accuracy_of_equal_classes_is_accuracy(size: int, classes: int, data: st.DataObject) -> None:
    clusters = torch.tensor(data.draw(st.lists(st.integers(0, 4), min_size=size * classes, max_size=size * classes)))
    table = contingency(torch.arange(classes).repeat_interleave(size), clusters)
    assert balanced_accuracy(table) == pytest.approx(accuracy(table))
