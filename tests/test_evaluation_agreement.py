"""NMI, ARI, AMI, homogeneity and completeness against scikit-learn, by hand and by enumeration."""

import math
from itertools import permutations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics
from sklearn.metrics.cluster import contingency_matrix, expected_mutual_information

from evaluation import agreement as ours
from evaluation.contingency import contingency

SCIKIT_LEARN = {
    "nmi": metrics.normalized_mutual_info_score,
    "ari": metrics.adjusted_rand_score,
    "ami": metrics.adjusted_mutual_info_score,
    "homogeneity": metrics.homogeneity_score,
    "completeness": metrics.completeness_score,
}
SYMMETRIC = ("acc", "nmi", "ari", "ami")

Pairs = list[tuple[int, int]]
labellings = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 6)), min_size=1, max_size=60)
rename = st.permutations(range(7))


def split(pairs: Pairs) -> tuple[torch.Tensor, torch.Tensor]:
    classes, clusters = torch.tensor(pairs).T
    return classes.contiguous(), clusters.contiguous()


def random_labels(
    n: int, class_count: int, cluster_count: int, signal: float = 0.6, seed: int = 0
) -> tuple[torch.Tensor, torch.Tensor]:
    """Labels of uneven sizes and clusters that follow them for a share `signal` of the samples."""
    generator = np.random.default_rng(seed)
    weights = generator.dirichlet(np.full(class_count, 5.0))
    classes = generator.choice(class_count, n, p=weights)
    noise = generator.integers(cluster_count, size=n)
    clusters = np.where(generator.random(n) < signal, classes % cluster_count, noise)
    return torch.from_numpy(classes), torch.from_numpy(clusters)


@given(labellings)
def test_every_score_equals_scikit_learn(pairs: Pairs) -> None:
    classes, clusters = split(pairs)
    scores = ours.agreement(contingency(classes, clusters))
    for name, reference in SCIKIT_LEARN.items():
        expected = reference(classes.numpy(), clusters.numpy())
        assert scores[name] == pytest.approx(expected, abs=1e-9), name


@pytest.mark.parametrize(
    ("n", "class_count", "cluster_count"), [(3000, 10, 10), (2000, 100, 37), (70_000, 10, 10), (5000, 2, 200)]
)
def test_larger_partitions_equal_scikit_learn(n: int, class_count: int, cluster_count: int) -> None:
    classes, clusters = random_labels(n, class_count, cluster_count)
    scores = ours.agreement(contingency(classes, clusters))
    for name, reference in SCIKIT_LEARN.items():
        expected = reference(classes.numpy(), clusters.numpy())
        assert scores[name] == pytest.approx(expected, abs=1e-9), name


def test_values_by_hand() -> None:
    # Classes {a a a b b b}, clusters {0 0 1 1 2 2}: the example has MI = 2/3 log 2.
    table = np.array([[2, 1, 0], [0, 1, 2]])
    mutual = 2 / 3 * math.log(2)
    assert ours.mutual_information(table) == pytest.approx(mutual)
    assert ours.homogeneity(table) == pytest.approx(mutual / math.log(2))
    assert ours.completeness(table) == pytest.approx(mutual / math.log(3))
    assert ours.normalised_mutual_information(table) == pytest.approx(2 * mutual / math.log(6))
    # Pairs together: 2 in both, 6 in a class, 3 in a cluster, 15 in all; by chance 6 * 3 / 15.
    assert ours.adjusted_rand_index(table) == pytest.approx((2 - 1.2) / (4.5 - 1.2))


def test_expected_information_equals_the_mean_over_all_permutations() -> None:
    classes, clusters = torch.tensor([0, 0, 0, 1, 1, 2, 2]), torch.tensor([0, 1, 1, 1, 2, 2, 0])
    every = [ours.mutual_information(contingency(classes, clusters[list(order)])) for order in permutations(range(7))]
    expected = ours.expected_mutual_information(contingency(classes, clusters))
    assert expected == pytest.approx(np.mean(every), abs=1e-12)


@given(labellings)
def test_expected_information_equals_scikit_learn(pairs: Pairs) -> None:
    classes, clusters = split(pairs)
    reference = contingency_matrix(classes.numpy(), clusters.numpy(), sparse=True)
    expected = expected_mutual_information(reference, len(classes))
    table = contingency(classes, clusters)
    assert ours.expected_mutual_information(table) == pytest.approx(expected, abs=1e-10)


@given(labellings, rename, rename)
def test_renaming_classes_and_clusters_changes_nothing(
    pairs: Pairs, class_names: list[int], cluster_names: list[int]
) -> None:
    classes, clusters = split(pairs)
    scores = ours.agreement(contingency(classes, clusters))
    renamed = contingency(torch.tensor(class_names)[classes], torch.tensor(cluster_names)[clusters])
    assert ours.agreement(renamed) == pytest.approx(scores, abs=1e-9)


@given(labellings)
def test_scores_keep_their_bounds(pairs: Pairs) -> None:
    scores = ours.agreement(contingency(*split(pairs)))
    for name in ("acc", "purity", "nmi", "homogeneity", "completeness"):
        assert 0 <= scores[name] <= 1, name
    assert -0.5 - 1e-12 <= scores["ari"] <= 1
    assert scores["ami"] <= 1 + 1e-12


@given(labellings)
def test_symmetric_scores_and_those_that_swap(pairs: Pairs) -> None:
    classes, clusters = split(pairs)
    scores = ours.agreement(contingency(classes, clusters))
    swapped = ours.agreement(contingency(clusters, classes))
    for name in SYMMETRIC:
        assert swapped[name] == pytest.approx(scores[name], abs=1e-9), name
    assert swapped["homogeneity"] == pytest.approx(scores["completeness"], abs=1e-12)


@given(st.lists(st.integers(0, 6), min_size=1, max_size=40), rename)
def test_the_same_partition_scores_one(labels: list[int], names: list[int]) -> None:
    classes = torch.tensor(labels)
    scores = ours.agreement(contingency(classes, torch.tensor(names)[classes]))
    assert scores == pytest.approx(dict.fromkeys(scores, 1.0), abs=1e-12)


def test_every_sample_a_class_and_a_cluster_of_its_own_is_perfect() -> None:
    # E[MI] equals both entropies here: 0 / 0 in the formula.
    scores = ours.agreement(contingency(torch.arange(50), torch.arange(50).flip(0)))
    assert scores == dict.fromkeys(scores, 1.0)


@pytest.mark.parametrize(
    ("classes", "clusters"),
    [([0], [0]), ([0, 0, 0], [0, 0, 0]), ([0, 0, 0, 0], [0, 1, 2, 2]), ([0, 1, 2, 2], [0, 0, 0, 0])],
)
def test_a_single_class_or_cluster_follows_scikit_learn_exactly(classes: list[int], clusters: list[int]) -> None:
    scores = ours.agreement(contingency(torch.tensor(classes), torch.tensor(clusters)))
    for name, reference in SCIKIT_LEARN.items():
        assert scores[name] == reference(classes, clusters), name


@given(labellings)
def test_empty_classes_and_clusters_change_nothing(pairs: Pairs) -> None:
    classes, clusters = split(pairs)
    padded = contingency(classes, clusters, class_count=12, cluster_count=15)
    assert ours.agreement(padded) == pytest.approx(ours.agreement(contingency(classes, clusters)), abs=1e-12)


def test_random_clusters_score_about_zero_when_adjusted_for_chance() -> None:
    classes, clusters = random_labels(20_000, 10, 10, signal=0.0)
    scores = ours.agreement(contingency(classes, clusters))
    assert scores["ari"] == pytest.approx(0, abs=2e-3)
    assert scores["ami"] == pytest.approx(0, abs=2e-3)


def test_pairs_of_very_many_samples_do_not_overflow() -> None:
    table = np.array([[4_000_000_000, 0], [1_000_000_000, 5_000_000_000]])
    p = table / 1e10  # for large n the pairs' shares approach the squared shares
    expected = (p.sum(1) ** 2).sum() * (p.sum(0) ** 2).sum()
    mean = ((p.sum(1) ** 2).sum() + (p.sum(0) ** 2).sum()) / 2
    assert ours.adjusted_rand_index(table) == pytest.approx(((p**2).sum() - expected) / (mean - expected))
