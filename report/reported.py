"""Reported figures beside ours: which columns a table of them has, its parts, and its notes.

Rows are those of `report.table`, best means over seeds. These keys are looked at besides:

* `reported_<metric>`: what a published report gives for the metric of that name.
* `report`: the report and the system there, "A: KMeans, PCA 90 %". Without it a row is called by its title.
* `notes`: what must be said of a row, separated by `BETWEEN_NOTES`.
* `protocol`: "transductive" marks the split.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from rich.table import Table
from rich.text import Text

from report.aggregate import REPORTED
from report.formats import (
    BOOKTABS,
    LATEX_ESCAPES,
    MARKDOWN_ESCAPES,
    latex_table,
    markdown_table,
    render_as,
    render_csv,
    render_json,
)
from report.rows import (
    BALANCED,
    BETWEEN_NOTES,
    COST,
    MACHINE,
    MISSING,
    NOTES,
    SCORES,
    SD,
    Column,
    Row,
    Value,
    all_keys,
    has_unequal_classes,
    value,
)
from report.terminal import ARROWS, FITTED, add_row, is_narrow, printed, ruled_table

SEEDS = Column("runs", "Seeds", decimals=0)
SYSTEM, RUN, SPLIT = Column("system", "System"), Column("title", "Run"), Column("split", "Split")
METRICS = (
    *SCORES,
    Column("inertia", "Inertia", "down", decimals=0),
    Column("log_likelihood", "Log-likelihood", "up", decimals=2),
    Column("rf_accuracy_add", "RF, add", "up"),
    Column("rf_accuracy_replace", "RF, replace", "up"),
)
ALWAYS = METRICS[:3]
"""Shown where no report gives anything."""


class Pair(NamedTuple):
    """A metric's column and, where a report gives it, the column of reported figures."""

    ours: Column
    reported: Column | None


class Part(NamedTuple):
    """The rows of one report.

    Attributes:
        report: "A"; empty for rows that belong to none.
        rows: with "system" besides, the split marked where it was fitted to, and notes as their numbers.
        known: whether they are of runs that knew some labels; such rows never stand among others.
    """

    report: str
    rows: list[Row]
    known: bool = False


def parts(rows: Sequence[Row]) -> tuple[list[Part], list[str]]:
    """The rows by report and by whether labels were known, and all notes, numbered from 1; in the order of the rows."""
    found: dict[tuple[str, bool], list[Row]] = {}
    notes: dict[str, int] = {}
    for row in rows:
        own = value(row, "notes")
        texts = dict.fromkeys(own.split(BETWEEN_NOTES)) if isinstance(own, str) else {}
        numbers = sorted(notes.setdefault(text, len(notes) + 1) for text in texts)
        report, _, system = str(value(row, "report") or value(row, "title")).rpartition(": ")
        mark = FITTED if value(row, "protocol") == "transductive" else ""
        shown: dict[str, Value] = {"system": system, "notes": ", ".join(map(str, numbers)) or None}
        shown["split"] = SPLIT.show(row) + mark
        # How far the memory varies between seeds is of no interest.
        found.setdefault((report, value(row, "known") is not None), []).append(
            {**row, **shown, "peak_memory_mb" + SD: None}
        )
    return [Part(report, of_report, known) for (report, known), of_report in found.items()], list(notes)


def pairs(rows: Sequence[Row]) -> list[Pair]:
    """The metrics that the report of these rows gives, ours and theirs; ACC, NMI and ARI where it gives none, and
    the balanced accuracy of classes of unequal size."""
    given = [pair for pair in (_pair(ours, rows) for ours in METRICS) if pair.reported is not None]
    balanced = [BALANCED] if any(has_unequal_classes(row) for row in rows) else []
    return given or [Pair(ours, None) for ours in (ALWAYS[0], *balanced, *ALWAYS[1:])]


def phases(rows: Sequence[Row]) -> list[Pair]:
    """The seconds of every phase, where a run has several or a report gives one."""
    keys = [key for key in all_keys(rows) if key.startswith("seconds_") and not key.endswith(SD)]
    found = [_pair(Column(key, key.removeprefix("seconds_"), decimals=1), rows) for key in keys]
    several = any(sum(value(row, key) is not None for key in keys) > 1 for row in rows)
    return found if several or any(pair.reported for pair in found) else []


def _pair(ours: Column, rows: Sequence[Row]) -> Pair:
    theirs = Column(REPORTED + ours.key, "reported", decimals=ours.decimals)
    return Pair(ours, theirs if any(value(row, theirs.key) is not None for row in rows) else None)


def names(rows: Sequence[Row]) -> list[Column]:
    """The columns that say what a row is: the system, and the split where it is not the same in all."""
    return [SYSTEM, *([SPLIT] if len({SPLIT.show(row) for row in rows}) > 1 else [])]


def costs(rows: Sequence[Row]) -> list[Column]:
    """The columns of time, machine and notes, and first the run's title where the report calls it otherwise."""
    renamed = any(value(row, "title") != value(row, "system") for row in rows)
    noted = any(value(row, "notes") is not None for row in rows)
    seeds = [SEEDS] if any(value(row, SEEDS.key) is not None for row in rows) else []
    return [*([RUN] if renamed else []), *seeds, *COST, *([NOTES] if noted else [])]


def beside(rows: Sequence[Row]) -> list[Column]:
    """All columns of one part's table: what a row is, every metric with the reported figure behind it, the cost."""
    return [*names(rows), *columns_of(pairs(rows)), *costs(rows)]


def columns_of(found: Sequence[Pair]) -> list[Column]:
    """Every metric with the reported figure behind it."""
    return [column for pair in found for column in pair if column is not None]


PHASES = "Seconds by phase"
NAME_WIDTH = 32
"""Columns of the terminal for a system's name; a longer one goes on in the next line."""


def render_reported(rows: Sequence[Row], format: str) -> str:
    """`rows` beside the reported figures that they carry, as text without a newline at the end.

    Raises:
        EvaluationError: a format that is none of `FORMATS`, or no rows.
    """
    return render_as(format, FORMATS, rows, "system")


def render_terminal(rows: Sequence[Row]) -> str:
    """Tables of at most 80 columns: for every report the metrics, as many side by side as fit, the cost, the phases."""
    found, notes = parts(rows)
    shown: list[Table | str] = []
    for part in found:
        shown += [_heading(part), ""] if _is_named(part, found) else []
        # What all rows share stands below, once.
        columns = [column for column in costs(part.rows) if column not in MACHINE or _shared(column, rows) is None]
        metrics = [_of_terminal(pair) for pair in pairs(part.rows)]
        times = [_of_terminal(pair) if pair.reported else [pair.ours] for pair in phases(part.rows)]
        for table in [
            *_tables(names(part.rows), metrics, part.rows),
            _table([SYSTEM], columns, part.rows),
            *_tables([SYSTEM], times, part.rows, PHASES),
        ]:
            shown += [table, ""]
    machine = [f"{column.heading}: {same}." for column in MACHINE if (same := _shared(column, rows)) is not None]
    return printed([*shown, *_numbered(notes), *([""] if notes else []), *machine, *_legend(rows)])


def render_markdown(rows: Sequence[Row]) -> str:
    """A GitHub table for every report, and the notes in a numbered list."""
    found, notes = parts(rows)
    blocks = []
    for part in found:
        blocks += [f"### {_heading(part).translate(MARKDOWN_ESCAPES)}"] if _is_named(part, found) else []
        blocks.append(markdown_table(beside(part.rows), part.rows))
        if times := columns_of(phases(part.rows)):
            blocks += [PHASES, markdown_table([SYSTEM, *times], _different(part.rows, times))]
    listed = "\n".join(line.translate(MARKDOWN_ESCAPES) for line in _numbered(notes))
    legend = " ".join(line.translate(MARKDOWN_ESCAPES) for line in _legend(rows))
    return "\n\n".join([*blocks, *([listed] if notes else []), legend])


def render_latex(rows: Sequence[Row]) -> str:
    """A `tabular` for every report, and the notes in a numbered list; for the package booktabs."""
    found, notes = parts(rows)
    blocks = [BOOKTABS]
    for part in found:
        blocks += [rf"\paragraph{{{_heading(part).translate(LATEX_ESCAPES)}}}"] if _is_named(part, found) else []
        blocks.append(latex_table(beside(part.rows), part.rows))
        if times := columns_of(phases(part.rows)):
            blocks += ["", PHASES, "", latex_table([SYSTEM, *times], _different(part.rows, times))]
    items = [rf"\item {note.translate(LATEX_ESCAPES)}" for note in notes]
    listed = [r"\begin{enumerate}", *items, r"\end{enumerate}"] if notes else []
    return "\n".join([*blocks, *listed, *(line.translate(LATEX_ESCAPES) for line in _legend(rows))])


FORMATS: dict[str, Callable[[Sequence[Row]], str]] = {
    "table": render_terminal,
    "markdown": render_markdown,
    "csv": render_csv,
    "json": render_json,
    "latex": render_latex,
}


def _is_named(part: Part, all_parts: Sequence[Part]) -> bool:
    return bool(part.report) or part.known or len(all_parts) > 1


def _heading(part: Part) -> str:
    name = f"Report {part.report}" if part.report else "Without a report"
    name += ", with known labels" if part.known else ""
    splits = {SPLIT.show(row) for row in part.rows}
    return name + (f", split: {splits.pop()}" if len(splits) == 1 else "")


def _tables(
    heads: Sequence[Column], groups: Sequence[Sequence[Column]], rows: Sequence[Row], title: str = ""
) -> list[Table]:
    """All groups of columns in few tables, each as wide as fits."""
    tables: list[Table] = []
    columns: list[Column] = []
    for group in groups:
        wider = _table(heads, [*columns, *group], rows, title)
        if columns and is_narrow(wider):
            columns, tables[-1] = [*columns, *group], wider
        else:
            columns = list(group)
            tables.append(_table(heads, group, rows, title))
    return tables


def _of_terminal(pair: Pair) -> list[Column]:
    """The pair's columns, with the metric's name over both."""
    ours, reported = pair
    over = Column(ours.key, f"{ours.heading}{ARROWS[ours.better]}\nours", decimals=ours.decimals)
    return [over] if reported is None else [over, Column(reported.key, "\nreported", decimals=reported.decimals)]


def _different(rows: Sequence[Row], columns: Sequence[Column]) -> list[Row]:
    """Of the rows that hold something in `columns` and show the same there and as their system, the first."""
    found: dict[tuple[str, ...], Row] = {}
    for row in rows:
        shown = tuple(column.show(row) for column in columns)
        if set(shown) != {MISSING}:
            found.setdefault((SYSTEM.show(row), *shown), row)
    return list(found.values())


def _table(heads: Sequence[Column], columns: Sequence[Column], rows: Sequence[Row], title: str = "") -> Table:
    """`heads` and `columns` of those rows that hold something in `columns`, and of equal ones the first."""
    cells = {
        tuple(column.show(row) for column in [*heads, *columns]): None
        for row in rows
        if any(column.show(row) != MISSING for column in columns)
    }
    for gap in (1, 0):
        table = ruled_table(title, gap)
        for column in [*heads, *columns]:
            is_name = column in (SYSTEM, RUN)
            table.add_column(
                Text(column.heading + ARROWS[column.better]),
                justify="left" if is_name or not column.is_number(rows) else "right",
                vertical="bottom",
                no_wrap=not is_name,  # names give way where room is short, numbers never
                overflow="fold",
                max_width=NAME_WIDTH if is_name else None,
            )
        for row in cells:
            add_row(table, row)
        if is_narrow(table):
            break
    return table


def _shared(column: Column, rows: Sequence[Row]) -> str | None:
    """What the rows show in the column, if it is the same in all."""
    shown = {column.show(row) for row in rows}
    return shown.pop() if len(shown) == 1 else None


def _numbered(notes: Sequence[str]) -> list[str]:
    return [f"{number}. {note}" for number, note in enumerate(notes, start=1)]


def _legend(rows: Sequence[Row]) -> list[str]:
    means = any(key.endswith(SD) for row in rows for key in row)
    lines = ["Mean ± standard deviation over the seeds."] if means else []
    if any(value(row, "protocol") == "transductive" for row in rows):
        lines.append(f"{FITTED} transductive: scored on the images that the method was fitted to; others are held out.")
    return [*lines, f"{MISSING} was not reported, or does not apply."]
