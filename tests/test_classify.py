"""Clusters as features: scores by hand, forests whose outcome is known, and what cannot be classified."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from data.image_set import ImageSet
from data.sources import load
from evaluation.classify import ClassifierScore, clusters_as_features, score
from evaluation.predictions import EvaluationError, Predictions
from methods.base import Assignments
from report.classifiers import render_classifiers
from report.figures.confusion_classifiers import confusion_classifiers

NAMES = ("a", "b", "c")


def predictions(classes: torch.Tensor, clusters: torch.Tensor, split: str = "train", seed: int = 0) -> Predictions:
    """Images of noise, so that only the clusters can tell the class."""
    generator = torch.Generator().manual_seed(seed)
    pixels = torch.randint(0, 256, (len(classes), 1, 3, 3), generator=generator, dtype=torch.uint8)
    images = ImageSet("made", split, pixels, classes, NAMES)
    return Predictions(images, torch.zeros(len(classes), 2), Assignments(clusters), 4, "made")


def test_scores_by_hand():
    true, given = np.array([0, 0, 0, 1, 1, 2]), np.array([0, 0, 1, 1, 0, 1])
    found = score(true, given, 4)
    assert found.accuracy == pytest.approx(3 / 6)
    # Class 0 is given three times, twice rightly, and there are three of it; class 2 is never given, 3 does not occur.
    assert found.precision.tolist() == pytest.approx([2 / 3, 1 / 3, 0, 0])
    assert found.recall.tolist() == pytest.approx([2 / 3, 1 / 2, 0, 0])
    assert found.f1.tolist() == pytest.approx([2 / 3, 2 / 5, 0, 0])
    assert found.support.tolist() == [3, 2, 1, 0]
    assert found.confusion.tolist() == [[2, 1, 0, 0], [1, 1, 0, 0], [0, 1, 0, 0], [0, 0, 0, 0]]


def test_clusters_that_are_the_classes_make_the_classifier_perfect():
    classes = torch.arange(60) % 3
    train = predictions(classes, (classes + 1) % 3)
    test = predictions(classes, (classes + 1) % 3, "test", seed=1)
    scores = clusters_as_features(train, test, seed=0, trees=20)
    assert list(scores) == ["pixels", "add", "replace"]
    assert scores["replace"].accuracy == 1
    assert scores["replace"].confusion.tolist() == (20 * np.eye(3, dtype=int)).tolist()
    assert scores["pixels"].accuracy < 0.6  # noise
    assert scores["pixels"].accuracy < scores["add"].accuracy


def test_the_cluster_alone_gives_every_cluster_its_commonest_class():
    # Cluster 0: four of class 0 and two of class 1; cluster 3: three of class 2 and one of class 0.
    classes = torch.tensor([0, 0, 0, 0, 1, 1, 2, 2, 2, 0])
    clusters = torch.tensor([0, 0, 0, 0, 0, 0, 3, 3, 3, 3])
    test = predictions(torch.tensor([0, 1, 2, 1]), torch.tensor([0, 0, 3, 3]), "test")
    found = clusters_as_features(predictions(classes, clusters), test, seed=0, features=["replace"])["replace"]
    assert found.confusion.tolist() == [[1, 0, 0], [1, 0, 1], [0, 0, 1]]
    assert found.accuracy == 0.5


def test_pixels_are_seen_and_the_seed_decides():
    train, test = (load("digits", split) for split in ("train", "test"))
    given = [
        Predictions(part, torch.zeros(len(part), 1), Assignments(torch.zeros(len(part), dtype=torch.int64)), 1, "none")
        for part in (train.subset(torch.arange(300)), test)
    ]
    first, again, other = (clusters_as_features(*given, seed=seed, trees=15) for seed in (0, 0, 1))
    assert first["pixels"].accuracy > 0.75
    assert first["replace"].accuracy < 0.2  # one cluster says nothing
    for kind in first:
        assert np.array_equal(first[kind].confusion, again[kind].confusion)
    assert not np.array_equal(first["pixels"].confusion, other["pixels"].confusion)


def test_predictions_are_left_as_they_were():
    classes = torch.arange(12) % 3
    given = predictions(classes, classes)
    before = given.images.images.clone()
    clusters_as_features(given, given, seed=0, trees=2)
    assert torch.equal(given.images.images, before)


def test_what_cannot_be_classified_is_refused():
    classes = torch.arange(12) % 3
    given = predictions(classes, classes)
    bare = replace(given, images=ImageSet("bare", "test", given.images.images))
    with pytest.raises(EvaluationError, match=r"bare \(test\) has no labels"):
        clusters_as_features(given, bare, seed=0)
    with pytest.raises(EvaluationError, match=r"bare \(test\) has no labels"):
        clusters_as_features(bare, given, seed=0)
    with pytest.raises(EvaluationError, match="differ in number of clusters: 4 and 5"):
        clusters_as_features(given, replace(given, clusters=5), seed=0)
    with pytest.raises(EvaluationError, match="differ in classes"):
        clusters_as_features(given, replace(given, images=replace(given.images, class_names=("a", "b", "d"))), seed=0)
    small = replace(given, images=replace(given.images, images=given.images.images[:, :, :2]))
    with pytest.raises(EvaluationError, match="differ in shape of images"):
        clusters_as_features(given, small, seed=0)
    with pytest.raises(EvaluationError, match="unknown features colour; choose among pixels, add, replace"):
        clusters_as_features(given, given, seed=0, features=["colour"])


def made_scores(classes: int) -> dict[str, ClassifierScore]:
    true = np.arange(5 * classes) % classes
    return {
        "pixels": score(true, true, classes),
        "add": score(true, np.where(true == 1, 0, true), classes),
        "replace": score(true, np.zeros_like(true), classes),
    }


def test_the_table_keeps_to_80_columns_and_shows_every_class():
    names = ["short", "a class with a very long name", *(f"class {number}" for number in range(8))]
    text = render_classifiers(made_scores(10), names)
    lines = text.split("\n")
    assert max(map(len, lines)) <= 80
    cells = [line.split() for line in lines]
    assert ["add", "pixels", "and", "cluster", "0.9000", "0.8500", "0.9000", "0.8667"] in cells
    # Class 0: all ten given to it by "add", five of them rightly; by "replace" five of fifty.
    assert ["short", "5", *("1.00",) * 3, "0.50", "1.00", "0.67", "0.10", "1.00", "0.18"] in cells
    assert any(line.startswith("a class with") for line in lines)


def test_the_table_shows_the_features_that_were_tried():
    text = render_classifiers({"replace": made_scores(3)["replace"]}, NAMES)
    assert "the cluster alone" in text
    assert "pixels" not in text


def test_the_figure_shows_counts_shaded_by_share():
    figure = confusion_classifiers(made_scores(3), ("a", "b", "cost $5"))
    add, replaced = figure.axes[:2]
    assert add.images[0].get_array().tolist() == [[100, 0, 0], [100, 0, 0], [0, 0, 100]]
    counts = {tuple(map(int, text.get_position())): text.get_text() for text in replaced.texts}
    assert counts == {(0, row): "5" for row in range(3)}
    assert add.get_title() == "add: pixels and cluster\naccuracy 0.667"
    figure.draw_without_rendering()
    crowded = confusion_classifiers(made_scores(16), [str(number) for number in range(16)])
    assert len(crowded.axes[0].texts) == 0


@pytest.mark.parametrize(
    ("kinds", "shown"), [(["pixels"], ["pixels"]), (["pixels", "add"], ["add"]), (["replace"], ["replace"])]
)
def test_a_panel_is_drawn_for_what_was_tried(kinds, shown):
    scores = {kind: found for kind, found in made_scores(3).items() if kind in kinds}
    titles = [axes.get_title() for axes in confusion_classifiers(scores, NAMES).axes]
    assert [title.partition(":")[0] for title in titles if title] == shown


def test_names_of_any_kind_break_no_line():
    names = ["a\nb", "latin\udce9", "ねこ"]
    lines = render_classifiers(made_scores(3), names).splitlines()
    assert [line.split()[0] for line in lines[-3:]] == [r"a\nb", r"latin\xe9", "ねこ"]
