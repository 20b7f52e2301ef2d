"""Every cluster by example: its most typical images, and those that nearly went elsewhere."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int64, UInt8
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from evaluation.predictions import Predictions, members
from report.figures.style import gap, new_picture_figure, plain, rows_of, subject
from report.look_alikes import distinct
from report.selection import centroid_distances, lowest, margins

TYPICAL, BORDERLINE = 10, 6
"""Images a cluster on the left and on the right."""


def samples(predictions: Predictions) -> Figure:
    """One row a cluster: nearest to the centroid on the left, smallest margin to another on the right.

    On the left no two are nearly the same, while there are others. Noise is in no cluster, and has no typical images.

    Beside the rows: the cluster's size and, with labels, its commonest class and that class's share.
    """
    clusters = range(predictions.clusters)
    distance, margin = centroid_distances(predictions), margins(predictions)
    images = predictions.images.images
    figure = new_picture_figure(height=0.42 * predictions.clusters * images.shape[2] / images.shape[3] + 0.7)
    left, right = figure.subplots(1, 2, width_ratios=[_width(images, TYPICAL), _width(images, BORDERLINE)])
    draw_rows(left, images, [typical(predictions, distance, j) for j in clusters], TYPICAL)
    draw_rows(right, images, [borderline(predictions, margin, j) for j in clusters], BORDERLINE)
    describe_rows(left, images, [describe(predictions, j) for j in clusters])
    left.set_title("typical (nearest to the centroid)")
    right.set_title("borderline (smallest margin)")
    figure.suptitle(subject(predictions))
    return figure


def typical(predictions: Predictions, distance: Float[Tensor, " n"], cluster: int) -> Int64[Tensor, " m"]:
    """The images of a cluster nearest to its centre, unlike one another; of noise any, in the order of the images."""
    own = members(predictions.assignments.labels, cluster)
    if cluster == predictions.noise:
        return own[:TYPICAL]
    return distinct(predictions.images.images, own[distance[own].argsort(stable=True)], TYPICAL)


def borderline(predictions: Predictions, margin: Float[Tensor, " n"], cluster: int) -> Int64[Tensor, " m"]:
    """The images of a cluster that nearly went elsewhere; none of noise."""
    count = 0 if cluster == predictions.noise else BORDERLINE
    return lowest(margin, predictions.assignments.labels, cluster, count)


def describe(predictions: Predictions, cluster: int) -> str:
    """A cluster's number and size and, with labels, its commonest class and that class's share."""
    positions = members(predictions.assignments.labels, cluster)
    if len(positions) == 0:
        return f"cluster {cluster}, empty"
    name = "noise" if cluster == predictions.noise else f"cluster {cluster}"
    text = f"{name}, {len(positions):,} images"
    if predictions.images.labels is None:
        return text
    counts = torch.bincount(predictions.images.labels[positions])
    name = plain(predictions.images.class_names[int(counts.argmax())])
    return f"{text}\n{name} {100 * int(counts.max()) / len(positions):.0f} %"


def draw_rows(axes: Axes, images: UInt8[Tensor, "n c h w"], rows: Sequence[Tensor], columns: int) -> None:
    """Pictures in rows, without a frame: a row for every list of positions among `images`."""
    axes.imshow(rows_of(images, rows, columns))
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)


def _width(images: Tensor, columns: int) -> int:
    return gap(images) + columns * (images.shape[3] + gap(images))


def describe_rows(axes: Axes, images: UInt8[Tensor, "n c h w"], texts: Sequence[str]) -> None:
    """A text beside every row that `draw_rows` drew."""
    step = images.shape[2] + gap(images)
    axes.set_yticks([gap(images) + row * step + images.shape[2] / 2 for row in range(len(texts))], texts)
    axes.tick_params(length=0)
