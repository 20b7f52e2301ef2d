"""Confusion matrices of classifiers that use the clusters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from evaluation.classify import ClassifierScore
from report.figures.style import new_picture_figure, plain

PANELS = {"pixels": "the pixels alone", "add": "pixels and cluster", "replace": "the cluster alone"}

LARGEST_WITH_COUNTS = 15
"""Beyond so many classes the counts could not be read; the shading still can."""


def confusion_classifiers(scores: Mapping[str, ClassifierScore], class_names: Sequence[str]) -> Figure:
    """A panel for each of "add" and "replace", and the baseline's where there is no other: counts of images, shaded by
    their share of the true class.

    Args:
        scores: from `evaluation.classify.clusters_as_features`, at least one.
        class_names: the name of every class.
    """
    kinds = [kind for kind in ("add", "replace") if kind in scores] or ["pixels"]
    figure = new_picture_figure(height=4.2)
    panels = figure.subplots(1, len(kinds), sharey=True, squeeze=False)[0]
    names = [plain(name, 14) for name in class_names]
    for axes, kind in zip(panels, kinds, strict=True):
        shown, sees = scores[kind], PANELS[kind]
        share = shown.confusion / np.maximum(1, shown.support)[:, None]
        picture = axes.imshow(100 * share, cmap="Blues", vmin=0, vmax=100)
        if len(names) <= LARGEST_WITH_COUNTS:
            _write_counts(axes, shown.confusion, share)
        axes.set_xticks(range(len(names)), names, rotation=90)
        axes.set_yticks(range(len(names)), names)
        axes.tick_params(length=0)
        axes.set_xlabel("class given")
        axes.set_title(f"{kind}: {sees}\naccuracy {shown.accuracy:.3f}")
    panels[0].set_ylabel("true class")
    figure.colorbar(picture, ax=panels, label="% of the true class", fraction=0.03, pad=0.01)
    return figure


def _write_counts(axes: Axes, counts: np.ndarray, share: np.ndarray) -> None:
    for (row, column), count in np.ndenumerate(counts):
        if count > 0:
            axes.text(column, row, str(count), ha="center", va="center", fontsize=5.5,
                      color="white" if share[row, column] > 0.55 else "black")  # fmt: skip
