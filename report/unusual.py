"""Which files of a set are nearly the same, and which are unlike all others: tables of their names."""

from __future__ import annotations

from collections.abc import Sequence

from data.image_set import ImageSet
from report.look_alikes import look_alikes, reduced_pixels
from report.originals import files_of
from report.outliers import outliers
from report.terminal import printed
from system.names import printable

GROUPS = 10
"""Groups, and files far from all others, that are shown."""


def unusual_tables(images: ImageSet) -> list[str]:
    """Near-duplicates and outliers by their files' names, as far as there are any."""
    files = files_of(images)
    alike = [[files[position] for position in group] for group in look_alikes(images.images)]
    apart = [files[position] for position in outliers(reduced_pixels(images.images)).tolist()]
    tables = []
    if alike:
        count = sum(len(group) for group in alike)
        lines = [shown(group) for group in alike[:GROUPS]]
        title = f"Near-duplicates: {count:,} images in {len(alike):,} groups"
        tables.append(_table(title, lines, len(alike) - GROUPS, "groups"))
    if apart:
        title = f"Outliers: {len(apart):,} images unlike all others, the farthest first"
        tables.append(_table(title, apart[:GROUPS], len(apart) - GROUPS, "images"))
    return tables or ["No near-duplicates and no outliers."]


def shown(names: Sequence[str], width: int = 76) -> str:
    """How many there are and their names, as many as a line holds."""
    text = f"{len(names):>4}  {', '.join(map(printable, names))}"
    return text if len(text) <= width else f"{text[: width - 1]}…"


def _table(title: str, lines: Sequence[str], more: int, what: str) -> str:
    rest = [f"… and {more:,} more {what}"] if more > 0 else []
    return printed([title, *(f"  {printable(line)}" for line in (*lines, *rest))])
