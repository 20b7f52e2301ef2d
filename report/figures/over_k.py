"""What speaks for which number of clusters: criteria and stability over k."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from report.figures.style import PALETTE, new_panels, plain
from report.rows import CRITERIA, SD, Column, Row, value

A_LINE = 3
PANELS = (
    (Column("stability_seeds", "stability over seeds (ARI)", "up"), True),
    (Column("stability_halves", "stability over halves (ARI)", "up"), True),
    (Column("silhouette", "silhouette", "up"), True),
    (Column("davies_bouldin", "Davies-Bouldin", "down"), True),
    (Column("calinski_harabasz", "Calinski-Harabasz", "up"), True),
    *((column, False) for column in CRITERIA),
)
"""And whether a panel shows all methods: their own criteria compare with nothing but themselves."""
ARROWS = {"up": " ↑", "down": " ↓", "": ""}


def over_k(rows: Sequence[Row], advised: Mapping[str, int | None]) -> Figure | None:
    """A panel a criterion, a line a method; a ring marks the advised k.

    Args:
        rows: one a method and k, as `report.comparison.over_k.row_of` gives them.
        advised: k by the method's title, None where nothing speaks for any.

    Returns:
        None where no criterion has a value.
    """
    titles = list(dict.fromkeys(str(value(row, "title")) for row in rows))
    panels = []
    for column, together in PANELS:
        for group in [titles] if together else [[title] for title in titles]:
            shown = [row for row in rows if value(row, "title") in group and _number(row, column.key) is not None]
            if any(value(row, "k") is not None for row in shown):
                panels.append((column, shown, "" if together or len(titles) == 1 else f"{group[0]}: "))
    if not panels:
        return None
    figure, axes = new_panels(len(panels), A_LINE, height=2.0, least=2.0)
    for axis, (column, shown, owner) in zip(axes, panels, strict=True):
        for number, title in enumerate(titles):
            own = [row for row in shown if value(row, "title") == title and value(row, "k") is not None]
            _draw(axis, sorted(own, key=lambda row: int(value(row, "k") or 0)), column, number, title, advised)
        heading = " ".join(column.heading.split())
        axis.set_title(plain(f"{owner}{heading}", 60) + ARROWS[column.better], fontsize=7.5)
        axis.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
        axis.set_xlabel("k", fontsize=7)
        axis.spines[["top", "right"]].set_visible(False)
    if len(titles) > 1:
        axes[0].legend(fontsize=6, frameon=False)
    return figure


def _draw(
    axis: Axes, rows: Sequence[Row], column: Column, number: int, title: str, advised: Mapping[str, int | None]
) -> None:
    if not rows:
        return
    ks = [int(value(row, "k") or 0) for row in rows]
    means = [_number(row, column.key) or 0.0 for row in rows]
    deviations = [_number(row, column.key + SD) or 0.0 for row in rows]
    tint = PALETTE[number % len(PALETTE)]
    axis.errorbar(ks, means, deviations, color=tint, lw=1.0, marker="o", ms=2.5, elinewidth=0.6, label=plain(title, 30))
    for k, mean in zip(ks, means, strict=True):
        if k == advised.get(title):
            axis.plot([k], [mean], marker="o", ms=8, mfc="none", mec=PALETTE[3], mew=1.3, ls="none")


def _number(row: Row, key: str) -> float | None:
    found = value(row, key)
    return float(found) if isinstance(found, int | float) else None
