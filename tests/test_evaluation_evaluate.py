"""The evaluator on predictions as a whole: keys, what applies, and input that cannot be scored."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn import metrics

from data.image_set import ImageSet
from evaluation.evaluate import evaluate
from evaluation.neighbour_purity import neighbour_purity
from evaluation.predictions import EvaluationError, Predictions
from methods.base import Assignments

KEYS = [
    *("n", "k", "k_used", "acc", "nmi", "ari", "ami", "purity", "homogeneity", "completeness", "balanced_acc"),
    *("silhouette", "silhouette_space", "davies_bouldin", "calinski_harabasz", "neighbour_purity"),
    *("size_min", "size_max", "class_min", "class_max"),
]
NEED_LABELS = (
    *("acc", "nmi", "ari", "ami", "purity", "homogeneity", "completeness", "balanced_acc", "neighbour_purity"),
    *("class_min", "class_max"),
)


def predictions(n: int = 120, k: int = 4, labelled: bool = True) -> Predictions:
    generator = torch.Generator().manual_seed(0)
    classes = torch.randint(3, (n,), generator=generator)
    embedding = torch.randn(3, 6, generator=generator)[classes] * 3 + torch.randn(n, 6, generator=generator)
    clusters = (classes + (torch.rand(n, generator=generator) < 0.2)) % 3
    images = torch.zeros(n, 1, 8, 8, dtype=torch.uint8)
    return Predictions(
        ImageSet("toys", "test", images, classes if labelled else None, ("a", "b", "c") if labelled else ()),
        embedding,
        Assignments(clusters),
        k,
        "latent (6-d)",
    )


def test_keys_and_values() -> None:
    given = predictions()
    assert given.images.labels is not None
    classes, clusters = given.images.labels.numpy(), given.assignments.labels.numpy()
    scores = evaluate(given)
    assert list(scores) == KEYS
    assert (scores["n"], scores["k"], scores["k_used"]) == (120, 4, 3)
    assert (scores["size_min"], scores["size_max"]) == (0, max((clusters == c).sum() for c in range(3)))
    assert scores["ari"] == pytest.approx(metrics.adjusted_rand_score(classes, clusters))
    assert scores["ami"] == pytest.approx(metrics.adjusted_mutual_info_score(classes, clusters))
    assert scores["acc"] == pytest.approx((classes == clusters).mean())
    assert scores["balanced_acc"] == pytest.approx(metrics.balanced_accuracy_score(classes, clusters))
    assert (scores["class_min"], scores["class_max"]) == (min(np.bincount(classes)), max(np.bincount(classes)))
    assert scores["silhouette_space"] == "latent (6-d)"
    expected = metrics.silhouette_score(given.embedding.numpy(), clusters)
    assert scores["silhouette"] == pytest.approx(expected, abs=1e-5)
    assert scores["neighbour_purity"] == neighbour_purity(given.embedding, given.images.labels)
    assert {type(score) for score in scores.values()} == {int, float, str}  # no tensors: rows go to JSON


def test_without_labels_only_what_needs_them_is_missing() -> None:
    scores, unlabelled = evaluate(predictions()), evaluate(predictions(labelled=False))
    assert unlabelled == {key: None if key in NEED_LABELS else score for key, score in scores.items()}


def test_a_single_cluster_in_use() -> None:
    given = predictions()
    collapsed = replace(given, assignments=Assignments(torch.full((120,), 2)))
    scores = evaluate(collapsed)
    assert scores["silhouette"] is scores["davies_bouldin"] is scores["calinski_harabasz"] is None
    assert (scores["k_used"], scores["size_min"], scores["size_max"]) == (1, 0, 120)
    assert (scores["nmi"], scores["ami"], scores["completeness"]) == (0.0, 0.0, 1.0)


def test_a_single_image() -> None:
    scores = evaluate(predictions(n=1))
    assert scores["acc"] == 1.0
    assert scores["silhouette"] is scores["neighbour_purity"] is None


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_an_embedding_that_is_not_finite_is_refused(value: float) -> None:
    given = predictions()
    given.embedding[[3, 7], 0] = value
    with pytest.raises(EvaluationError, match=r"toys \(test\): 2 of 120 embedded points are NaN or infinite"):
        evaluate(given)


@pytest.mark.parametrize("label", [-1, 4])
def test_clusters_outside_the_range_are_refused(label: int) -> None:
    given = predictions()
    given.assignments.labels[5] = label
    with pytest.raises(EvaluationError, match=f"numbered 0 to 3, but the assignments run from .*{label}"):
        evaluate(given)


def test_different_lengths_are_refused() -> None:
    given = predictions()
    with pytest.raises(EvaluationError, match="120 images, 119 assignments and 120 embedded points"):
        evaluate(replace(given, assignments=Assignments(given.assignments.labels[:-1])))
    with pytest.raises(EvaluationError, match="120 images, 120 assignments and 100 embedded points"):
        evaluate(replace(given, embedding=given.embedding[:100]))


def test_the_order_of_the_images_changes_nothing() -> None:
    given = predictions()
    order = torch.randperm(120, generator=torch.Generator().manual_seed(1))
    moved = replace(
        given,
        images=given.images.subset(order),
        embedding=given.embedding[order],
        assignments=Assignments(given.assignments.labels[order]),
    )
    scores, before = evaluate(moved), evaluate(given)
    assert scores.pop("silhouette_space") == before.pop("silhouette_space")
    assert scores == pytest.approx(before, rel=1e-5)
