"""Plain tables for a terminal of 80 columns."""

from __future__ import annotations

import io
from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from terminal.names import printable

WIDTH = 80


def ruled_table(title: str, gap: int = 1) -> Table:
    """An empty table with a line below its headings.

    Args:
        title: over it; may be empty.
        gap: spaces between columns, besides the one that the rule has.
    """
    return Table(
        title=Text(printable(title)) if title else None,
        title_justify="left",
        box=box.SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        padding=(0, gap, 0, 0),
    )


def add_row(table: Table, cells: Sequence[str]) -> None:
    """Add `cells` as they are, except for what would break the line: names may be any."""
    table.add_row(*(Text(printable(cell)) for cell in cells))


def is_narrow(table: Table) -> bool:
    """Whether the table fits without cutting or folding anything."""
    console = Console(file=io.StringIO(), width=10 * WIDTH, color_system=None)
    return Measurement.get(console, console.options, table).maximum <= WIDTH


def printed(parts: Sequence[Table | str]) -> str:
    """The parts below one another, without colours and without spaces at the ends of lines."""
    text = io.StringIO()
    console = Console(file=text, width=WIDTH, color_system=None)
    for part in parts:
        console.print(Text(part) if isinstance(part, str) else part)
    return "\n".join(line.rstrip() for line in text.getvalue().strip("\n").splitlines())
