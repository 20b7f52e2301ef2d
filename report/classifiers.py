"""What classifiers make of clusters, as text for a terminal of 80 columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from evaluation.classify import ClassifierScore
from report.terminal import add_row, printed, ruled_table

SEEN = {"pixels": "the pixels alone", "add": "pixels and cluster", "replace": "the cluster alone"}
"""Features -> what the classifier sees."""

NAME_WIDTH = 16
"""Longer names of classes are cut, so that no number is."""


def render_classifiers(scores: Mapping[str, ClassifierScore], class_names: Sequence[str]) -> str:
    """Two tables: accuracy by features, and precision, recall and F1 of every class.

    Args:
        scores: at least one, by features, all on the same images.
        class_names: the name of every class.
    """
    summary = ruled_table("Random forest on clusters as features", gap=2)
    summary.add_column("Features", no_wrap=True)
    summary.add_column("The forest sees", no_wrap=True)
    for heading in ("Accuracy", "Precision", "Recall", "F1"):
        summary.add_column(heading, justify="right", no_wrap=True)
    for kind, score in scores.items():
        means = (score.accuracy, score.precision.mean(), score.recall.mean(), score.f1.mean())
        add_row(summary, [kind, SEEN[kind], *(f"{mean:.4f}" for mean in means)])
    classes = ruled_table("By class: precision (P), recall (R) and F1", gap=0)
    classes.add_column("Class", no_wrap=True, overflow="ellipsis", max_width=NAME_WIDTH)
    classes.add_column("Images", justify="right", no_wrap=True)
    for kind in scores:
        classes.add_column("")  # room between the groups of three
        for heading in (f"{kind}\nP", "\nR", "\nF1"):
            classes.add_column(heading, justify="right", no_wrap=True)
    support = next(iter(scores.values())).support
    for row, name in enumerate(class_names):
        by_class = [(s.precision[row], s.recall[row], s.f1[row]) for s in scores.values()]
        cells = [cell for three in by_class for cell in ("", *(f"{share:.2f}" for share in three))]
        add_row(classes, [name, f"{support[row]:,}", *cells])
    return printed([summary, "Precision, recall and F1 are means over the classes.", "", classes])
