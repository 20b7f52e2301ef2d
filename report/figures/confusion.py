"""The confusion matrix: how every class is spread over the clusters."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int64
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from evaluation.contingency import UNMATCHED, accuracy, contingency, match
from evaluation.predictions import Predictions
from report.figures.style import WIDTH, new_figure, plain, subject

LARGEST_WITH_NUMBERS = 30
"""Beyond so many clusters the numbers in the cells could not be read; the shading still can."""


def confusion(predictions: Predictions) -> Figure | None:
    """Classes in rows, clusters in columns, matched clusters first in their classes' order. Needs labels.

    Shading and numbers are percentages of the class. Framed cells are the one-to-one matching that the
    accuracy counts.
    """
    labels, names = predictions.images.labels, predictions.images.class_names
    if labels is None:
        return None
    table = contingency(labels, predictions.assignments.labels, len(names), predictions.clusters)
    columns = column_order(table)
    rows = table.shape[0]
    figure = new_figure(height=max(2.5, WIDTH * 0.8 * rows / max(rows, len(columns)) + 1.2))
    axes = figure.subplots()
    shown = _percent(table)[:, columns]
    picture = axes.imshow(shown, cmap="Blues", vmin=0, vmax=100, aspect="auto")
    figure.colorbar(picture, ax=axes, label="% of the class", fraction=0.04, pad=0.01)
    _name_axes(axes, table, columns, names)
    _frame_matches(axes, match(table)[columns])
    if len(columns) <= LARGEST_WITH_NUMBERS:
        _write_numbers(axes, shown)
    axes.set_title(f"{subject(predictions)}: accuracy {accuracy(table):.3f} (framed cells)")
    return figure


def column_order(table: Int64[np.ndarray, "classes clusters"]) -> Int64[np.ndarray, " clusters"]:
    """The clusters in the order of their matched classes, then the unmatched ones, the largest first."""
    matching = match(table)
    rank = np.where(matching == UNMATCHED, len(table), matching)
    return np.lexsort((-table.sum(0), rank))


def _percent(table: Int64[np.ndarray, "classes clusters"]) -> np.ndarray:
    # A class may be absent from a split.
    return np.asarray(100 * table / np.maximum(1, table.sum(1, keepdims=True)))


def _name_axes(axes: Axes, table: np.ndarray, columns: np.ndarray, names: tuple[str, ...]) -> None:
    in_class, in_cluster = table.sum(1), table.sum(0)
    crowded = len(columns) > 12
    axes.set_xticks(range(len(columns)))
    axes.set_xticklabels(
        [f"{j}  ({in_cluster[j]:,})" if crowded else f"{j}\n({in_cluster[j]:,})" for j in columns],
        rotation=90 if crowded else 0,
    )
    axes.set_yticks(range(len(names)))
    axes.set_yticklabels([f"{plain(name)}  ({n:,})" for name, n in zip(names, in_class, strict=True)])
    axes.set_xlabel("cluster (images)")
    axes.set_ylabel("class (images)")
    axes.tick_params(length=0)


def _frame_matches(axes: Axes, classes: np.ndarray) -> None:
    for column, row in enumerate(classes):
        if row != UNMATCHED:
            cell = Rectangle((column - 0.5, row - 0.5), 1, 1, fill=False, edgecolor="black", lw=1.2)
            cell.set_clip_on(False)
            axes.add_patch(cell)


def _write_numbers(axes: Axes, percent: np.ndarray) -> None:
    size = 8 if percent.shape[1] <= 12 else 6
    for (row, column), value in np.ndenumerate(percent):
        if value > 0:
            text = "<1" if value < 1 else f"{value:.0f}"
            axes.text(column, row, text, ha="center", va="center", fontsize=size,
                      color="white" if value > 55 else "black")  # fmt: skip
