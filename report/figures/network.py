"""A network layer by layer, from top to bottom."""

from __future__ import annotations

import math
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from report.exploration import sides
from report.figures.style import WIDTH, colour, new_figure, plain
from report.network_layers import Layer
from report.rows import MISSING

WIDEST, NARROWEST = 1.9, 0.1
"""Inches of the blocks that give out the most values and one."""

LINE = 0.2
"""Inches from one layer to the next."""

COLUMNS, CENTRE = (0.0, 0.65, 6.05, 7.0), 4.1
"""Inches from the left: where parts and layers begin, where shapes and parameters end; and the blocks' middle."""


def network(title: str, shape: tuple[int, ...], layers: Sequence[Layer]) -> Figure | None:
    """A block a layer, as wide as the logarithm of the number of values that it gives out.

    Left of the blocks the layers' names, right of them their outputs' shapes and their numbers of parameters.

    Args:
        title: what the network belongs to.
        shape: of one image, (c, h, w).
        layers: in their order; None is returned where there are none.
    """
    if not layers:
        return None
    figure = new_figure(height=LINE * (len(layers) + 2) + 0.5, width=WIDTH)
    axes = figure.subplots()
    axes.set_axis_off()
    axes.set_xlim(0, WIDTH)
    axes.set_ylim(len(layers) + 0.6, -1.4)
    parts = list(dict.fromkeys(layer.network for layer in layers))
    most = max(math.prod(values) for values in [shape, *(layer.output for layer in layers)])
    for x, heading in zip(COLUMNS, ("part", "layer", "output", "parameters"), strict=True):
        axes.text(x, -0.95, heading, ha=_side(x), va="center", fontsize=7.5, color="#555555")
    _draw_row(axes, 0, ("image", "", sides(shape), ""), _width(shape, most), "#bbbbbb")
    before = ""
    for row, layer in enumerate(layers, start=1):
        part = layer.network if layer.network != before else ""
        before = layer.network
        count = f"{layer.parameters:,}" if layer.parameters else MISSING
        shade = colour(parts.index(layer.network))
        _draw_row(axes, row, (part, layer.name, sides(layer.output), count), _width(layer.output, most), shade)
    axes.set_title(f"{plain(title, 60)}: {sum(layer.parameters for layer in layers):,} parameters")
    return figure


def _draw_row(axes: Axes, row: int, texts: tuple[str, str, str, str], width: float, shade: str) -> None:
    axes.add_patch(Rectangle((CENTRE - width / 2, row - 0.38), width, 0.76, color=shade, lw=0))
    for x, text in zip(COLUMNS, texts, strict=True):
        axes.text(x, row, plain(text, 40), ha=_side(x), va="center", fontsize=7.5)


def _side(x: float) -> str:
    return "left" if x < CENTRE else "right"


def _width(shape: Sequence[int], most: int) -> float:
    """Inches of the block of a layer that gives out `shape`."""
    share = math.log(math.prod(shape)) / math.log(most) if most > 1 else 1.0
    return NARROWEST + (WIDEST - NARROWEST) * share
