"""Names beside the points of a diagram, without overlap where there is room."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.transforms import Bbox, BboxBase

ANGLES = 16
RADII = (4.0, 6.5, 10.0, 15.0, 21.0, 28.0, 36.0, 45.0)
"""Places tried around a point: so many directions at each distance, in points, nearest first."""

LEADER = 8.0
"""Beyond this distance a thin line leads from the label to its point."""


def label_points(
    axes: Axes, points: Sequence[tuple[float, float]], texts: Sequence[str], obstacles: Sequence[Bbox], size: float
) -> None:
    """Write every text near its point, clear of `obstacles`, of the texts before it and of the frame.

    Greedy: each label takes the nearest free place, and where none is free the one that overlaps least. The figure's
    layout must be final.

    Args:
        axes: where the points are drawn.
        points: (x, y) of each, in data units.
        texts: one a point.
        obstacles: what the labels keep clear of besides each other, the points' own markers too, in pixels.
        size: of the font, in points.
    """
    taken = list(obstacles)
    for point, text in zip(points, texts, strict=True):
        label = axes.annotate(text, point, (0, 0), textcoords="offset points", fontsize=size, ha="center", va="center")
        label.set_in_layout(False)
        # The box of the text as it would stand upon its point.
        box, pixel = label.get_window_extent(), axes.figure.dpi / 72
        width, height = box.width / pixel, box.height / pixel
        moves = list(_moves(width, height))
        boxes = [box.translated(dx * pixel, dy * pixel) for _, dx, dy in moves]
        costs = (_outside(other, axes.bbox) + sum(_overlap(other, thing) for thing in taken) for other in boxes)
        best = _first_lowest(costs)
        radius, dx, dy = moves[best]
        label.set_position((dx, dy))
        taken.append(boxes[best])
        if radius > LEADER:
            nearest = np.clip(0, dx - width / 2, dx + width / 2), np.clip(0, dy - height / 2, dy + height / 2)
            line = {"arrowstyle": "-", "lw": 0.4, "color": "0.5", "shrinkA": 0, "shrinkB": 2}
            axes.annotate("", point, nearest, textcoords="offset points", arrowprops=line).set_in_layout(False)


def _moves(width: float, height: float) -> Iterator[tuple[float, float, float]]:
    """Radius, and how far a label of this size moves from its point, in points, so that its edge is that far away."""
    for radius in RADII:
        for angle in 2 * np.pi * np.arange(ANGLES) / ANGLES:
            yield radius, float(np.cos(angle) * (radius + width / 2)), float(np.sin(angle) * (radius + height / 2))


def _first_lowest(costs: Iterator[float]) -> int:
    """The position of the first 0, or of the lowest."""
    best, lowest = 0, math.inf
    for position, cost in enumerate(costs):
        if cost < lowest:
            best, lowest = position, cost
        if cost == 0:
            break
    return best


def _overlap(first: BboxBase, second: BboxBase) -> float:
    common = Bbox.intersection(first, second)
    return 0.0 if common is None else float(common.width * common.height)


def _outside(box: BboxBase, frame: BboxBase) -> float:
    return float(box.width * box.height) - _overlap(box, frame)
