"""Clusters as features: what a classifier gains from them, and what it can do with nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float32, Float64, Int64
from torch import Tensor

from evaluation.predictions import EvaluationError, Predictions

FEATURES = ("pixels", "add", "replace")
"""What a classifier sees: the pixels alone (the baseline), pixels and cluster, or the cluster alone."""


@dataclass(frozen=True)
class ClassifierScore:
    """How well a classifier does on images that it was not trained on. All shares run from 0 to 1.

    Attributes:
        accuracy: share of the images whose class it finds.
        precision: by class, the share of those given the class that have it; 0 for a class that is never given.
        recall: by class, the share of those that have the class that are given it; 0 for a class without images.
        f1: by class, the harmonic mean of both; 0 where both are.
        support: by class, the number of images.
        confusion: images by true class (rows) and by the class that they were given (columns).
    """

    accuracy: float
    precision: Float64[np.ndarray, " classes"]
    recall: Float64[np.ndarray, " classes"]
    f1: Float64[np.ndarray, " classes"]
    support: Int64[np.ndarray, " classes"]
    confusion: Int64[np.ndarray, "classes classes"]


def clusters_as_features(
    train: Predictions, test: Predictions, seed: int, trees: int = 100, features: Sequence[str] = FEATURES
) -> dict[str, ClassifierScore]:
    """A random forest for each of `features`, trained on the classes of `train` and scored on those of `test`.

    The cluster is one-hot. Forests have scikit-learn's defaults but for trees and seed, and torch's number of threads.
    The same seed gives the same forest on any number of them. Breiman, 2001, "Random forests".

    Args:
        train: predictions for labelled images.
        test: predictions of the same method for other labelled images of the same shape and classes.
        seed: of the forests.
        trees: of each forest.
        features: which of `FEATURES` to try; the baseline is the same for every method.

    Returns:
        A score for each of `features`.

    Raises:
        EvaluationError: labels are missing, or the two predictions differ in classes, clusters or shape of images.
    """
    classes = _shared_classes(train, test)
    check_features(features)
    # Here, since it takes seconds that other scores need not spend.
    from sklearn.ensemble import RandomForestClassifier

    scores = {}
    for kind in features:
        forest = RandomForestClassifier(trees, random_state=seed, n_jobs=torch.get_num_threads())
        forest.fit(_features(train, kind), labels_of(train))
        forest.set_params(n_jobs=1)  # several threads add the trees' votes in any order, which can decide a tie
        scores[kind] = score(labels_of(test), forest.predict(_features(test, kind)), classes)
    return scores


def check_features(features: Sequence[str]) -> None:
    """Refuse, with an EvaluationError, what is none of `FEATURES`."""
    unknown = sorted(set(features) - set(FEATURES))
    if unknown:
        raise EvaluationError(f"unknown features {', '.join(unknown)}; choose among {', '.join(FEATURES)}.")


def labels_of(predictions: Predictions) -> Int64[np.ndarray, " n"]:
    """The classes of the images.

    Raises:
        EvaluationError: they have none.
    """
    images = predictions.images
    if images.labels is None:
        raise EvaluationError(
            f"{images.name} ({images.split}) has no labels; a classifier needs them to be trained and to be scored."
        )
    return np.asarray(images.labels.numpy())


def score(true: Int64[np.ndarray, " n"], given: Int64[np.ndarray, " n"], classes: int) -> ClassifierScore:
    """The scores of a classifier that gave the classes `given`, (n,), to images of the classes `true`, (n,)."""
    from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

    labels = np.arange(classes)
    precision, recall, f1, support = precision_recall_fscore_support(true, given, labels=labels, zero_division=0)
    confusion = confusion_matrix(true, given, labels=labels)
    return ClassifierScore(float((true == given).mean()), precision, recall, f1, support, confusion)


def _features(predictions: Predictions, kind: str) -> Float32[np.ndarray, "n features"]:
    # Forests only compare values of one feature: pixels need no scale.
    parts: list[Tensor] = []
    if kind in ("pixels", "add"):
        parts.append(predictions.images.images.flatten(1))
    if kind in ("add", "replace"):
        parts.append(torch.nn.functional.one_hot(predictions.assignments.labels, predictions.clusters))
    return torch.cat([part.float() for part in parts], dim=1).numpy()


def _shared_classes(train: Predictions, test: Predictions) -> int:
    """The number of classes, when both can be used together."""
    for predictions in (train, test):
        labels_of(predictions)
    for what, of_train, of_test in (
        ("classes", train.images.class_names, test.images.class_names),
        ("number of clusters", train.clusters, test.clusters),
        ("shape of images", tuple(train.images.images.shape[1:]), tuple(test.images.images.shape[1:])),
    ):
        if of_train != of_test:
            raise EvaluationError(
                f"the classifier is trained on {train.images.name} ({train.images.split}) and scored on "
                f"{test.images.name} ({test.images.split}), which differ in {what}: {of_train} and {of_test}. "
                "Use predictions of one method for two parts of one data set."
            )
    return len(train.images.class_names)
