"""Tables of a comparison of numbers of clusters, and the advice below them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from textwrap import wrap

from rich.table import Table
from rich.text import Text

from report.comparison.advice import Advice
from report.comparison.over_k import WATCH_ONLY
from report.formats import BOOKTABS, latex_table, markdown_table, render_as, render_csv, render_json
from report.rows import CRITERIA, MISSING, Column, Row, value
from report.terminal import ARROWS, WIDTH, add_row, is_narrow, printed, ruled_table

K = Column("k", "k", decimals=0)
STABILITY = (
    Column("stability_seeds", "Stability\nseeds", "up", decimals=2),
    Column("stability_halves", "Stability\nhalves", "up", decimals=2),
)
EVIDENCE = (
    Column("silhouette", "Silhouette", "up"),
    Column("davies_bouldin", "Davies-\nBouldin", "down"),
    Column("calinski_harabasz", "Calinski-\nHarabasz", "up", decimals=1),
)
TRAINED = tuple(replace(column, key=f"{column.key}_trained") for column in EVIDENCE)
SIZES = (Column("size_min", "Smallest", decimals=0), Column("size_max", "Largest", decimals=0))
TIME = Column("seconds", "Seconds", decimals=1)
WATCHED = tuple(Column(WATCH_ONLY + key, heading) for key, heading in (("acc", "ACC"), ("nmi", "NMI"), ("ari", "ARI")))
WATCH_TITLE = "Watch only: agreement with the labels, which no advice has seen"
TRAINED_TITLE = "In the trained space, which is no evidence: it was trained for these clusters"
LEGEND = (
    "Stability: mean ARI between the clusters of all images by every two seeds, and",
    "by every two runs that saw only a half of the images.",
)


def render_over_k(rows: Sequence[Row], advice: Mapping[str, Advice], format: str) -> str:
    """`rows` as text, without a newline at the end; formats for people have the advice below.

    Args:
        rows: one a method and k, as `report.comparison.over_k.row_of` gives them.
        advice: by the methods' titles. Rows of an advised k have "advised" 1, other rows 0.
        format: a name in `FORMATS`.

    Raises:
        EvaluationError: a format that is none of `FORMATS`, or no rows.
    """
    marked = [_without_labels({**row, "advised": int(_is_advised(row, advice))}, rows) for row in rows]
    text = render_as(format, FORMATS, marked, "k")
    if format not in ("table", "markdown"):
        return text
    lines = advice_lines(advice)
    if format == "table":
        lines = "\n".join(line for part in lines.splitlines() for line in wrap(part, WIDTH, break_on_hyphens=False))
    return f"{text}\n\n{lines}"


def advice_lines(advice: Mapping[str, Advice]) -> str:
    """A line a method, without a name where there is one method."""
    several = len(advice) > 1
    return "\n".join(f"{title}: {found.sentence}" if several else found.sentence for title, found in advice.items())


def _is_advised(row: Row, advice: Mapping[str, Advice]) -> bool:
    found = advice.get(str(value(row, "title")))
    return found is not None and found.k is not None and found.k == value(row, "k")


def _without_labels(row: Row, rows: Sequence[Row]) -> Row:
    """The row without the keys of labels, where no row has any."""
    empty = {column.key for column in WATCHED if all(value(other, column.key) is None for other in rows)}
    return {key: found for key, found in row.items() if key not in empty}


def _present(columns: Sequence[Column], rows: Sequence[Row]) -> list[Column]:
    return [column for column in columns if any(value(row, column.key) is not None for row in rows)]


def _terminal(rows: Sequence[Row]) -> str:
    titles = dict.fromkeys((value(row, "title"), value(row, "data")) for row in rows)
    blocks = [[row for row in rows if (value(row, "title"), value(row, "data")) == title] for title in titles]
    return "\n\n\n".join(_block(block) for block in blocks)


def _block(rows: Sequence[Row]) -> str:
    first = rows[0]
    n = next((value(row, "n") for row in rows if value(row, "n") is not None), MISSING)
    space = next((value(row, "space") for row in rows if value(row, "space") is not None), None)
    over = f"{value(first, 'title')} on {value(first, 'data')}, {n} images"
    parts: list[Table | str] = [over, ""]
    parts += [_table("" if space is None else f"Internal metrics in: {space}", [*STABILITY, *EVIDENCE], rows)]
    for title, columns in (
        (TRAINED_TITLE, _present(TRAINED, rows)),
        ("Own criterion and clusters", [*_present(CRITERIA, rows), *SIZES, TIME]),
        (WATCH_TITLE, _present(WATCHED, rows)),
    ):
        parts += ["", _table(title, columns, rows)] if columns else []
    notes = [f"{_k_of(row)}: {value(row, 'notes')}" for row in rows if value(row, "notes") is not None]
    parts += ["", "Notes", *notes] if notes else []
    return printed([*parts, "", *LEGEND])


def _k_of(row: Row) -> str:
    return f"k = {K.show(row)}"


def _table(title: str, columns: Sequence[Column], rows: Sequence[Row]) -> Table:
    def filled(gap: int) -> Table:
        table = ruled_table(title, gap)
        for column in (K, *columns):
            heading = Text(column.heading + ARROWS[column.better])
            table.add_column(heading, justify="right", vertical="bottom", no_wrap=True, overflow="ellipsis")
        for row in rows:
            mark = " *" if value(row, "advised") else ""
            add_row(table, [K.show(row) + mark, *(column.show(row) for column in columns)])
        return table

    wide = filled(1)
    return wide if is_narrow(wide) else filled(0)


def _all_columns(rows: Sequence[Row]) -> list[Column]:
    """For documents."""
    trained = [replace(column, heading=f"{column.heading}\ntrained space") for column in TRAINED]
    watched = [replace(column, heading=f"{column.heading}\nwatch only") for column in WATCHED]
    optional = [*trained, *CRITERIA]
    names = (Column("title", "Method"), Column("data", "Data"), K)
    return [
        *names, *STABILITY, *EVIDENCE, Column("space", "Space"), *_present(optional, rows), *SIZES,
        *_present(watched, rows), Column("notes", "Notes"),
    ]  # fmt: skip


FORMATS: Mapping[str, Callable[[Sequence[Row]], str]] = {
    "table": _terminal,
    "markdown": lambda rows: markdown_table(_all_columns(rows), rows),
    "csv": render_csv,
    "json": lambda rows: render_json(rows, promised=()),
    "latex": lambda rows: f"{BOOKTABS}\n{latex_table(_all_columns(rows), rows)}",
}
