"""Every cluster by example: its most typical images, and those that nearly went elsewhere."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from evaluation.predictions import Predictions, members
from report.figures.style import gap, new_picture_figure, plain, rows_of, subject
from report.selection import centroid_distances, lowest, margins

TYPICAL, BORDERLINE = 10, 6
"""Images a cluster on the left and on the right."""


def samples(predictions: Predictions) -> Figure:
    """One row a cluster: nearest to the centroid on the left, smallest margin to another on the right.

    Beside the rows: the cluster's size and, with labels, its commonest class and that class's share.
    """
    labels, clusters = predictions.assignments.labels, range(predictions.clusters)
    distance, margin = centroid_distances(predictions), margins(predictions)
    images = predictions.images.images
    figure = new_picture_figure(height=0.42 * predictions.clusters * images.shape[2] / images.shape[3] + 0.7)
    left, right = figure.subplots(1, 2, width_ratios=[_width(images, TYPICAL), _width(images, BORDERLINE)])
    _draw_rows(left, images, [lowest(distance, labels, j, TYPICAL) for j in clusters], TYPICAL)
    _draw_rows(right, images, [lowest(margin, labels, j, BORDERLINE) for j in clusters], BORDERLINE)
    _describe_rows(left, images, [describe(predictions, j) for j in clusters])
    left.set_title("typical (nearest to the centroid)")
    right.set_title("borderline (smallest margin)")
    figure.suptitle(subject(predictions))
    return figure


def describe(predictions: Predictions, cluster: int) -> str:
    """A cluster's number and size and, with labels, its commonest class and that class's share."""
    positions = members(predictions.assignments.labels, cluster)
    if len(positions) == 0:
        return f"cluster {cluster}, empty"
    text = f"cluster {cluster}, {len(positions):,} images"
    if predictions.images.labels is None:
        return text
    counts = torch.bincount(predictions.images.labels[positions])
    name = plain(predictions.images.class_names[int(counts.argmax())])
    return f"{text}\n{name} {100 * int(counts.max()) / len(positions):.0f} %"


def _draw_rows(axes: Axes, images: Tensor, rows: Sequence[Tensor], columns: int) -> None:
    axes.imshow(rows_of(images, rows, columns))
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)


def _width(images: Tensor, columns: int) -> int:
    return gap(images) + columns * (images.shape[3] + gap(images))


def _describe_rows(axes: Axes, images: Tensor, texts: Sequence[str]) -> None:
    step = images.shape[2] + gap(images)
    axes.set_yticks([gap(images) + row * step + images.shape[2] / 2 for row in range(len(texts))], texts)
    axes.tick_params(length=0)
