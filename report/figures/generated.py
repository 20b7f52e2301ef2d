"""What the decoder gives back: reconstructions of images, and the image of every centroid."""

from __future__ import annotations

import math

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from evaluation.predictions import Predictions, sizes
from report.figures.style import new_picture_figure, picture, subject
from report.selection import spread

PAIRS, PAIRS_A_LINE = 30, 10
"""Images shown beside their reconstructions, over all and in one line."""

CENTROIDS_A_LINE = 10


def reconstructions(predictions: Predictions) -> Figure | None:
    """Images from all clusters in turn, each above its reconstruction. Needs reconstructions."""
    if predictions.reconstructions is None:
        return None
    originals, decoded = predictions.images.images, predictions.reconstructions
    lines = torch.split(spread(predictions.assignments.labels, PAIRS), PAIRS_A_LINE)
    tile = 0.6 * originals.shape[2] / originals.shape[3]
    figure = new_picture_figure(height=len(lines) * (2 * tile + 0.15) + 0.5)
    grid = figure.subplots(len(lines), 1, squeeze=False)
    for axes, line in zip(grid.flat, lines, strict=True):
        axes.imshow(picture(torch.cat([originals[line], decoded[line]]), columns=len(line)))
        _hide_frame(axes)
    error = mean_squared_error(originals, decoded)
    figure.suptitle(
        f"{subject(predictions)}: originals above reconstructions\n"
        f"mean squared error {error:.4f} over all images (pixels from 0 to 1)"
    )
    return figure


def mean_squared_error(originals: Tensor, decoded: Tensor) -> float:
    """Mean over all pixels of the squared difference, with pixels scaled to 0 to 1."""
    total, chunk = 0.0, 4096  # images at a time, so that a large data set is never doubled in float
    for true, back in zip(torch.split(originals, chunk), torch.split(decoded, chunk), strict=True):
        total += float(((true.float() - back.float()) / 255).square().sum(dtype=torch.float64))
    return total / originals.numel()


def decoded_centroids(predictions: Predictions) -> Figure | None:
    """The decoder's image of every centroid, with the cluster's number and size. Needs decoded centroids."""
    decoded = predictions.decoded_centroids
    if decoded is None:
        return None
    columns = min(CENTROIDS_A_LINE, len(decoded))
    lines = math.ceil(len(decoded) / columns)
    tile = 0.65 * decoded.shape[2] / decoded.shape[3]
    figure = new_picture_figure(height=lines * (tile + 0.35) + 0.4)
    grid = figure.subplots(lines, columns, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    counts = sizes(predictions.assignments.labels, len(decoded)).tolist()
    for cluster, (axes, count) in enumerate(zip(grid.flat, counts, strict=False)):
        axes.imshow(picture(decoded[cluster : cluster + 1], columns=1))
        axes.set_title(f"cluster {cluster}\n{count:,} images", fontsize=6)
    figure.suptitle(f"{subject(predictions)}: decoded centroids")
    return figure


def _hide_frame(axes: Axes) -> None:
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)
