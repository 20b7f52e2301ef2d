"""Quality against time, for all systems of a comparison."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator
from matplotlib.transforms import Bbox

from report.figures.point_labels import label_points
from report.figures.style import PALETTE, new_figure, plain
from report.rows import MAIN, SD, Row, value

HEADINGS = {column.key: column.heading for column in MAIN}

LARGEST_WITH_NAMES = 12
"""Beyond so many systems names would cover the points: numbers stand there, and a list beside the panels."""

OTHERS, FRONT = PALETTE[0], PALETTE[3]


class Point(NamedTuple):
    """A system in one panel: its time, its quality, the deviation of that over seeds, and its label."""

    seconds: float
    quality: float
    sd: float
    label: str


def quality_time(rows: Sequence[Row], metrics: Sequence[str] = ("acc", "nmi")) -> Figure | None:
    """A panel a metric: every system's quality against its time, with the Pareto front.

    Time is on a logarithmic axis. Bars are the standard deviation over seeds. On the front are the systems that no
    other beats in one without losing in the other.

    Args:
        rows: one a system, as `report.aggregate.over_seeds` gives them: "title", "seconds", the metrics and, where the
            row is a mean, their "_sd". A row without time is left out, one without a metric is left out there.
        metrics: keys of the rows, higher is better.

    Returns:
        None where no row has both.
    """
    timed = [row for row in rows if (_number(row, "seconds") or 0) > 0]
    timed = [row for row in timed if any(_number(row, key) is not None for key in metrics)]
    timed.sort(key=lambda row: _number(row, "seconds") or 0)
    shown = [key for key in metrics if any(_number(row, key) is not None for row in timed)]
    if not shown:
        return None
    names = [plain(str(value(row, "title")), 40) for row in timed]
    labels = names if len(names) <= LARGEST_WITH_NAMES else [str(number + 1) for number in range(len(names))]
    figure = new_figure(height=0.5 + 2.7 * len(shown))
    panels = figure.subplots(len(shown), 1, sharex=True, squeeze=False)[:, 0]
    points = [_points(timed, labels, key) for key in shown]
    for axes, key, of_metric in zip(panels, shown, points, strict=True):
        _draw(axes, of_metric)
        axes.set_ylabel(HEADINGS.get(key, plain(key)))
    panels[-1].set_xlabel("seconds in all, from images to clusters")
    _format_time(panels[-1], [point.seconds for of_metric in points for point in of_metric])
    if labels is not names:
        _list_names(figure, names)
    # Labels are placed in pixels, which the layout decides.
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    for axes, of_metric in zip(panels, points, strict=True):
        places = [(point.seconds, point.quality) for point in of_metric]
        size = 6.0 if labels is names else 6.5
        label_points(axes, places, [point.label for point in of_metric], _marks(axes, of_metric), size)
    return figure


def pareto_front(points: Sequence[Point]) -> list[Point]:
    """The points that no other one equals or beats in both and beats in one, by time."""
    best, front = -np.inf, []
    for point in sorted(points, key=lambda point: (point.seconds, -point.quality)):
        if point.quality > best:
            best = point.quality
            front.append(point)
    return front


def _points(rows: Sequence[Row], labels: Sequence[str], key: str) -> list[Point]:
    points = []
    for row, label in zip(rows, labels, strict=True):
        seconds, quality = _number(row, "seconds"), _number(row, key)
        if seconds is not None and quality is not None:
            points.append(Point(seconds, quality, _number(row, key + SD) or 0.0, label))
    return points


def _number(row: Row, key: str) -> float | None:
    found = value(row, key)
    return float(found) if isinstance(found, int | float) else None


def _draw(axes: Axes, points: Sequence[Point]) -> None:
    front = pareto_front(points)
    axes.step([p.seconds for p in front], [p.quality for p in front], where="post", color=FRONT, lw=0.8, alpha=0.6)
    for group, shade in (([p for p in points if p not in front], OTHERS), (front, FRONT)):
        axes.errorbar(
            [p.seconds for p in group], [p.quality for p in group], yerr=[p.sd for p in group],
            fmt="o", ms=3.5, color=shade, ecolor=shade, elinewidth=0.7, capsize=1.5, capthick=0.7,
        )  # fmt: skip
    axes.set_xscale("log")
    axes.margins(y=0.1)
    axes.grid(visible=True, lw=0.3, color="0.9")
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(
        handles=[Line2D([], [], color=FRONT, marker="o", ms=3.5, lw=0.8, label="Pareto front")],
        frameon=False, loc="lower right",
    )  # fmt: skip


def _format_time(axes: Axes, seconds: Sequence[float]) -> None:
    # By hand: of times that differ by rounding alone matplotlib makes an axis without width.
    axes.set_autoscalex_on(False)
    room = max((max(seconds) / min(seconds)) ** 0.08, 1.2)
    axes.set_xlim(min(seconds) / room, max(seconds) * room)
    decades = np.log10(max(seconds) / min(seconds))
    subs = (1,) if decades >= 3 else (1, 2, 5) if decades >= 0.7 else (1, 1.2, 1.5, *range(2, 10))
    # Within a factor of two a logarithmic axis is nearly linear, and so are its ticks.
    axes.xaxis.set_major_locator(MaxNLocator(6) if decades < 0.3 else LogLocator(subs=subs))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,.10g}"))


def _list_names(figure: Figure, names: Sequence[str]) -> None:
    # A figure space before one digit, so that the names stand in one line.
    texts = [f"{number:\u2007>2}  {name}" for number, name in enumerate(names, start=1)]
    handles = [Line2D([], [], ls="", label=text) for text in texts]
    figure.legend(
        handles=handles, loc="outside right upper", handlelength=0, handletextpad=0, labelspacing=0.25, fontsize=6.5,
        frameon=False,
    )  # fmt: skip


def _marks(axes: Axes, points: Sequence[Point]) -> list[Bbox]:
    """What labels must not cover, in pixels: markers, bars, the front and the legend."""
    point_size = axes.figure.dpi / 72
    lines = [((p.seconds, p.quality - p.sd), (p.seconds, p.quality + p.sd)) for p in points]
    for left, right in pairwise(pareto_front(points)):
        corner = (right.seconds, left.quality)
        lines += [((left.seconds, left.quality), corner), (corner, (right.seconds, right.quality))]
    transform = axes.transData.transform
    marks = [Bbox([transform(p[:2]), transform(p[:2])]).padded(2.5 * point_size) for p in points]
    marks += [Bbox([transform(start), transform(end)]).padded(0.5 * point_size) for start, end in lines]
    legend = axes.get_legend()
    assert legend is not None
    return [*marks, legend.get_window_extent()]
