"""Tables for a terminal of 80 columns: plain ones, and the three small ones of results.

What all rows of results share stands in a heading, not in a column of its own. Every data set has tables of its own,
since its figures compare with no other's.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import replace

from rich import box
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from evaluation.neighbour_purity import neighbours_of
from report.rows import (
    CRITERIA,
    DENDROGRAM,
    MISSING,
    MIXED,
    PRETRAINED,
    SD,
    Column,
    Row,
    all_keys,
    has_unequal_classes,
    value,
)
from system.names import printable

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
    console = Console(file=io.StringIO(), width=10 * WIDTH, color_system=None, force_jupyter=False)
    return Measurement.get(console, console.options, table).maximum <= WIDTH


def printed(parts: Sequence[Table | str]) -> str:
    """The parts below one another, without colours and without spaces at the ends of lines."""
    text = io.StringIO()
    console = Console(file=text, width=WIDTH, color_system=None, force_jupyter=False)  # which would show it at once
    for part in parts:
        console.print(Text(part) if isinstance(part, str) else part)
    return "\n".join(line.rstrip() for line in text.getvalue().strip("\n").splitlines())


# Behind a split that the method was fitted to; the legend explains it.
FITTED, PARTLY = "*", "(*)"
ARROWS = {"up": " ↑", "down": " ↓", "": ""}

METHOD, SPLIT = Column("title", "Method"), Column("split", "Split")
DATA, SEED, SPACE = Column("data", "Data"), Column("seed", "Seed"), Column("silhouette_space", "Space")
THREADS, DEVICE = Column("threads", "Threads"), Column("device", "Device")
BALANCED_ACC = Column("balanced_acc", "Balanced")
NEAREST = Column("neighbour_purity", "neighbours")
"""Headed by their number, which depends on the rows."""
AGREEMENT = (
    Column("acc", "ACC"),
    Column("nmi", "NMI"),
    Column("ari", "ARI"),
    Column("ami", "AMI"),
    Column("purity", "Purity"),
    Column("homogeneity", "Homog."),
    Column("completeness", "Compl."),
    NEAREST,
)
INTERNAL = (
    Column("silhouette", "Silhouette", "up"),
    Column("davies_bouldin", "Davies-\nBouldin", "down"),
    Column("calinski_harabasz", "Calinski-\nHarabasz", "up", decimals=1),
)
CLUSTERS = (
    Column("n", "n"),
    Column("k", "k", decimals=0),
    Column("k_used", "Used", decimals=0),
    Column("size_min", "Smallest", decimals=0),
    Column("size_max", "Largest", decimals=0),
    Column("seconds", "Seconds", decimals=1),
    Column("peak_memory_mb", "MiB", decimals=0),
)


def render_terminal(rows: Sequence[Row]) -> str:
    """`rows` in three tables of at most 80 columns and a legend; again for every data set."""
    blocks = [
        _block([row for row in rows if DATA.show(row) == data])
        for data in dict.fromkeys(DATA.show(row) for row in rows)
    ]
    return "\n\n\n".join(blocks)


def _block(rows: Sequence[Row]) -> str:
    agreement = [replace(c, heading=_nearest(rows)) if c is NEAREST else c for c in AGREEMENT]
    if any(has_unequal_classes(row) for row in rows):
        agreement.append(BALANCED_ACC)
    labelled = any(value(row, column.key) is not None for row in rows for column in agreement)
    parts: list[Table | str] = [_heading("Results", rows, DATA, SEED)]
    if labelled:
        # Means with their deviations are twice as wide: tables of four.
        together = 4 if _are_means(rows) else len(agreement)
        for first in range(0, len(agreement), together):
            title = "" if first else "Agreement with the labels (higher is better)"
            parts += _spaced(title, agreement[first : first + together], rows)
    else:
        parts += ["", "No agreement with labels: these images have none."]
    trees = [row for row in rows if value(row, DENDROGRAM.key) is not None]
    parts += _spaced("Tree of the clusters", [DENDROGRAM], trees) if trees else []
    parts += _spaced(_heading("Internal metrics", rows, SPACE), [*_differing(rows, SPACE), *INTERNAL], rows)
    before = [row for row in rows if value(row, PRETRAINED[0].key) is not None]
    if before:
        parts += _spaced("The same in the pretrained space, before joint training", PRETRAINED, before)
    criteria = [column for column in CRITERIA if any(value(row, column.key) is not None for row in rows)]
    if criteria:
        having = [row for row in rows if any(value(row, column.key) is not None for column in criteria)]
        parts += _spaced("Own criterion of the method", criteria, having)
    title = _heading("Clusters and time", rows, THREADS, DEVICE)
    parts += _spaced(title, [*CLUSTERS, *_differing(rows, THREADS, DEVICE)], rows)
    return printed([*parts, *_phases(rows), *_notes(rows), "", *_legend(rows, labelled)])


def _spaced(title: str, columns: Sequence[Column], rows: Sequence[Row]) -> list[Table | str]:
    """A table below an empty line, with narrower gaps where it needs the room."""
    wide = _table(title, columns, rows, gap=1)
    return ["", wide if is_narrow(wide) else _table(title, columns, rows, gap=0)]


def _table(title: str, columns: Sequence[Column], rows: Sequence[Row], gap: int) -> Table:
    table = ruled_table(title, gap)
    shown = [METHOD, *_differing(rows, SEED), SPLIT, *columns]
    for column in shown:
        number = column.is_number(rows)
        table.add_column(
            Text(column.heading + ARROWS[column.better]),
            justify="right" if number else "left",
            vertical="bottom",
            no_wrap=number or column is SPLIT,  # names give way where room is short, numbers never
            overflow="ellipsis" if number else "fold",
        )
    for row in rows:
        add_row(table, [_cell(column, row) for column in shown])
    return table


def _cell(column: Column, row: Row) -> str:
    text = column.show(row)
    marks = {"transductive": FITTED, MIXED: PARTLY}
    return text + marks.get(str(value(row, "protocol")), "") if column is SPLIT else text


def _are_means(rows: Sequence[Row]) -> bool:
    return any(key.endswith(SD) for row in rows for key in row)


def _differing(rows: Sequence[Row], *columns: Column) -> list[Column]:
    """Those of `columns` in which the rows differ."""
    return [column for column in columns if len({column.show(row) for row in rows}) > 1]


def _heading(title: str, rows: Sequence[Row], *columns: Column) -> str:
    """The title and what all rows share of `columns`: "Results, data: digits, seed: 0"."""
    shared = [column for column in columns if not _differing(rows, column)]
    return ", ".join([title, *(f"{column.heading.lower()}: {column.show(rows[0])}" for column in shared)])


def _phases(rows: Sequence[Row]) -> list[str]:
    """A line for every checkpoint: its seconds by phase."""
    lines = {}
    for row in rows:
        times = [
            Column(key, key.removeprefix("seconds_"), decimals=1)
            for key in all_keys([row])
            if key.startswith("seconds_") and not key.endswith(SD) and value(row, key) is not None
        ]
        name = " ".join([METHOD.show(row), *(f"seed {SEED.show(row)}" for _ in _differing(rows, SEED))])
        if times:
            phases = ", ".join(f"{column.heading} {column.show(row)}" for column in times)
            lines[value(row, "checkpoint"), name] = f"{name}: {phases}"
    return ["", "Seconds by phase", *lines.values()] if lines else []


def _notes(rows: Sequence[Row]) -> list[str]:
    """What must be said of a method, once for all its rows."""
    notes = {METHOD.show(row): str(value(row, "notes")) for row in rows if value(row, "notes") is not None}
    return ["", "Notes", *(f"{name}: {note}" for name, note in notes.items())] if notes else []


def _nearest(rows: Sequence[Row]) -> str:
    """ "20-NN" by the number of nearest neighbours that were looked at, "11- to 20-NN" where rows differ in it."""
    counts = sorted({neighbours_of(int(n)) for row in rows if (n := value(row, "n")) is not None})
    return f"{counts[0]}- to {counts[-1]}-NN" if len(counts) > 1 else f"{counts[0]}-NN" if counts else "NN"


def _use_of_labels(rows: Sequence[Row]) -> str:
    more = []
    if any("uses labels" in str(value(row, "notes")) for row in rows):
        more.append("to draw the images (see the notes)")
    if any(value(row, "known") is not None for row in rows):
        more.append("to learn from some images, which are not scored")
    return (
        f"Labels were used for {', and '.join(['scoring', *more])}." if more else "Labels were used for scoring only."
    )


def _legend(rows: Sequence[Row], labelled: bool) -> list[str]:
    protocols = {value(row, "protocol") for row in rows}
    lines = ["Mean ± standard deviation over the seeds."] if _are_means(rows) else []
    if "transductive" in protocols:
        lines.append(f"{FITTED} transductive: scored on the images that the method was fitted to.")
    if MIXED in protocols:
        lines.append(f"{PARTLY} mixed: the method was fitted to some of these images; the notes say to how many.")
    if "held out" in protocols:
        which = f"Without {FITTED}, held out" if len(protocols) > 1 else "Held out"
        lines.append(f"{which}: scored on images that the fit never saw.")
    if _differing(rows, SPACE):
        lines.append("Internal metrics compare clusterings within one space only.")
    if any(value(row, PRETRAINED[0].key) is not None for row in rows):
        lines.append("A space that was trained for clusters is no evidence for them; the pretrained one can be.")
    if labelled:
        nearest = _nearest(rows)
        lines.append(f"{nearest}: share of the {nearest.removesuffix('-NN')} nearest neighbours with the same class.")
        if any(value(row, DENDROGRAM.key) is not None for row in rows):
            lines.append("Dendrogram purity: the share of a class where two images of it meet, over all pairs.")
        if any(has_unequal_classes(row) for row in rows):
            lines.append("Balanced: ACC's share of every class, mean over the classes.")
        lines.append(_use_of_labels(rows))
    needed = [*AGREEMENT, *INTERNAL] if labelled else INTERNAL
    if any(value(row, column.key) is None for row in rows for column in needed):
        lines.append(f"{MISSING} does not apply.")
    return lines
