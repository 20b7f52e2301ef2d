"""What all figures share: colours, sizes for print, and images as pictures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from evaluation.predictions import Predictions
from report.figures.fonts import drawable
from report.tiles import grid, padded

WIDTH = 7.0
"""Inches: the text width of a one-column page, so that fonts keep their size in print."""

STYLE: Any = {
    "font.size": 8,
    "axes.titlesize": 9,
    "axes.labelsize": 8,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7,
    "figure.titlesize": 9,
    "figure.dpi": 150,
    "savefig.dpi": 150,
    "savefig.bbox": "tight",
    "savefig.pad_inches": 0.05,
}

# The first six are Okabe and Ito's (2008). Each further one is the colour farthest from all before it in
# OKLab (Ottosson, 2020) by the smallest of three distances: as seen with protanopia and deuteranopia (both
# simulated as by Machado et al., 2009), and 0.45 times that of normal vision. Clusters are numbered too.
PALETTE = (
    "#0072b2", "#e69f00", "#009e73", "#d55e00", "#56b4e9", "#cc79a7", "#78003c", "#9600ff",
    "#3cf087", "#3c00a5", "#4b5a00", "#c30078", "#e1c3e1", "#8778f0", "#f000d2", "#3c3c5a",
    "#96c396", "#b40f00", "#ff2d69", "#d2d200", "#693c96", "#784b4b", "#ff87ff", "#001ee1",
)  # fmt: skip


def colour(index: int) -> str:
    """The colour of the cluster or class with this number; they repeat beyond the palette."""
    return PALETTE[index % len(PALETTE)]


def new_figure(height: float, width: float = WIDTH) -> Figure:
    """A figure of its own, in inches, known to no global registry."""
    return Figure(figsize=(width, height), layout="constrained")


def new_panels(count: int, a_line: int, height: float, least: float) -> tuple[Figure, list[Axes]]:
    """A figure of `count` small panels, `a_line` of them side by side, and their axes in order.

    Args:
        count: at least 1.
        a_line: panels that fill the width.
        height: of a panel, inches.
        least: a figure of fewer panels is as wide as so many.
    """
    columns = min(a_line, count)
    lines = math.ceil(count / columns)
    figure = new_figure(height=height * lines, width=WIDTH * max(columns, least) / a_line)
    panels = list(figure.subplots(lines, columns, squeeze=False).flat)
    for empty in panels[count:]:
        empty.set_axis_off()
    return figure, panels[:count]


def new_picture_figure(height: float) -> Figure:
    """A figure for panels of fixed shape, which are moved together where they leave room."""
    return Figure(figsize=(WIDTH, height), layout="compressed")


def subject(predictions: Predictions) -> str:
    """The first half of every title: which images, and how many."""
    images = predictions.images
    return f"{plain(images.name, 40)} ({images.split}), {len(images):,} images"


def plain(text: str, longest: int = 20) -> str:
    """`text` as matplotlib shall show it: no mathematics, nothing that no font can draw, cut to `longest`."""
    return drawable(text, longest).replace("$", r"\$")


def picture(images: UInt8[Tensor, "n c h w"], columns: int) -> UInt8[np.ndarray, "height width 3"]:
    """The images row by row in a grid with thin white gaps; cells that are left over are white."""
    return np.asarray(grid(images, columns, gap(images)).permute(1, 2, 0).numpy())


def gap(images: UInt8[Tensor, "n c h w"]) -> int:
    """Pixels between the images of a `picture`."""
    return max(1, images.shape[-1] // 16)


def rows_of(
    images: UInt8[Tensor, "n c h w"], rows: Sequence[Tensor], columns: int
) -> UInt8[np.ndarray, "height width 3"]:
    """A `picture` with one row for every list of positions, filled with white up to `columns`."""
    return picture(torch.cat([padded(images[row], columns) for row in rows]), columns)
