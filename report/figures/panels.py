"""What figures of groups share: titles, the shape of grids, and pictures under their names."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from rich.cells import cell_len

from data.image_set import ImageSet
from report.exploration import Groups
from report.figures.fonts import drawable
from report.figures.style import WIDTH, plain

MOST = 60
"""Groups that are drawn at most; more would not fit a page."""

PICTURES_A_LINE = 10

LINE = 13
"""Latin letters that have room over a picture."""

TILE, APART, HEADING = 0.63, 0.07, 0.25
"""Inches: the width of a picture, the space between two, the height of the title."""


def title_of(images: ImageSet) -> str:
    """Which images, and how many."""
    return f"{plain(images.name, 40)} ({images.split}), {len(images):,} images"


def drawn(groups: Groups) -> range:
    """The groups that a figure shows."""
    return range(min(len(groups), MOST))


def of_every(groups: Groups) -> str:
    """In titles: "of every class", and whether some are left out; "of all images" where there are no groups."""
    if groups.kind == "set":
        return "of all images"
    cut = "" if len(groups) <= MOST else f" (the first {MOST} of {len(groups):,})"
    return f"of every {groups.kind}{cut}"


def grid_shape(panels: int, most_columns: int) -> tuple[int, int]:
    """Lines and columns, as many lines as needed and all about equally full."""
    lines = math.ceil(panels / most_columns)
    return lines, math.ceil(panels / lines)


def named_pictures(title: str, names: Sequence[str], pictures: Sequence[np.ndarray | None], **shown: Any) -> Figure:
    """Small pictures of one shape in a grid, each under its name.

    Args:
        title: over all.
        names: one a picture.
        pictures: (height, width, 3), or (height, width) for a colour map; None where the place stays empty.
        shown: how matplotlib shows them: `cmap`, `vmin`, `vmax`.
    """
    texts = [_in_two_lines(name) for name in names]
    lines, columns = grid_shape(len(pictures), PICTURES_A_LINE)
    aspect = next((picture.shape[0] / picture.shape[1] for picture in pictures if picture is not None), 1.0)
    above = 0.2 if all("\n" not in text for text in texts) else 0.31
    step = TILE * aspect + above
    # All places are in inches: layout by matplotlib takes half a minute for as many pictures.
    figure = Figure(figsize=(WIDTH, lines * step + HEADING))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    axes.text(WIDTH / 2, HEADING / 2, title, ha="center", va="center", fontsize=9)
    margin = (WIDTH - columns * TILE - (columns - 1) * APART) / 2
    for place, (text, picture) in enumerate(zip(texts, pictures, strict=True)):
        left = margin + place % columns * (TILE + APART)
        top = HEADING + place // columns * step + above
        right, bottom = left + TILE, top + TILE * aspect
        axes.text((left + right) / 2, top - 0.03, text, ha="center", va="bottom", fontsize=6.5)
        if picture is None:
            axes.text((left + right) / 2, (top + bottom) / 2, "empty", ha="center", va="center", fontsize=6.5)
        else:
            axes.imshow(picture, extent=(left, right, bottom, top), aspect="auto", **shown)
    # Each picture has drawn the limits to itself.
    axes.set(xlim=(0, WIDTH), ylim=(lines * step + HEADING, 0))
    return figure


def _in_two_lines(name: str) -> str:
    shown = drawable(name, 2 * LINE)
    wide = cell_len(shown) - len(shown)  # ideographs and emoji, which take the room of two letters
    lines = textwrap.wrap(shown, max(LINE // 2, LINE - wide), max_lines=2, placeholder="…")
    return "\n".join(line.replace("$", r"\$") for line in lines)
