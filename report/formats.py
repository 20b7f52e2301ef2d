"""From rows to text: for programs (JSON, CSV), for documents (Markdown, LaTeX), and by the name of a format."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence

from evaluation.predictions import EvaluationError
from report.rows import (
    BALANCED,
    COST,
    CRITERIA,
    DENDROGRAM,
    MAIN,
    PRETRAINED,
    SCORES,
    Column,
    Row,
    all_keys,
    has_unequal_classes,
    value,
)
from system.names import printable
from system.streams import as_printed

# In every JSON object, null where the row lacks them.
PROMISED = (
    *("method", "data", "split", "n", "k", "k_used", "acc", "nmi", "ari", "ami", "purity"),
    *("silhouette", "silhouette_space", "seconds"),
)

MARKDOWN_ARROWS = {"up": " ↑", "down": " ↓", "": ""}
MARKDOWN_ESCAPES = str.maketrans({**{mark: f"\\{mark}" for mark in "\\|*_`<["}, "\n": " ", "\r": " "})

BOOKTABS = r"% needs \usepackage{booktabs}"
LATEX_ARROWS = {"up": r" $\uparrow$", "down": r" $\downarrow$", "": ""}
LATEX_ESCAPES = str.maketrans(
    {
        **{mark: f"\\{mark}" for mark in "&%$#_{}"},
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "<": r"\textless{}",
        ">": r"\textgreater{}",
        "|": r"\textbar{}",
        '"': r"\textquotedbl{}",
        "–": "--",
        "\n": " ",
        "\r": " ",
    }
)


def render_json(rows: Sequence[Row], promised: Sequence[str] = PROMISED) -> str:
    """One JSON object a row and line, with the keys that are promised; what is missing, NaN or infinite is null."""
    lines = []
    for row in rows:
        keys = dict.fromkeys([*row, *promised])
        lines.append(json.dumps({key: value(row, key) for key in keys}, allow_nan=False))
    return "\n".join(lines)


def render_csv(rows: Sequence[Row]) -> str:
    """A header and one line a row with the columns of all rows; a missing value is empty."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    keys = all_keys(rows)
    writer.writerow(keys)
    writer.writerows([value(row, key) for key in keys] for row in rows)
    return text.getvalue().rstrip("\n")


def render_markdown(rows: Sequence[Row]) -> str:
    """The main columns as a GitHub table."""
    return markdown_table(_columns(rows), rows)


def render_latex(rows: Sequence[Row]) -> str:
    """The main columns as a `tabular` for the package booktabs."""
    return f"{BOOKTABS}\n{latex_table(_columns(rows), rows)}"


def _columns(rows: Sequence[Row]) -> list[Column]:
    optional = (DENDROGRAM, PRETRAINED[0], *CRITERIA)
    criteria = [column for column in optional if any(value(row, column.key) is not None for row in rows)]
    before, accuracy = MAIN.index(COST[0]), MAIN.index(SCORES[0]) + 1
    balanced = [BALANCED] if any(has_unequal_classes(row) for row in rows) else []
    return [*MAIN[:accuracy], *balanced, *MAIN[accuracy:before], *criteria, *MAIN[before:]]


def markdown_table(columns: Sequence[Column], rows: Sequence[Row]) -> str:
    """`columns` of `rows` as a GitHub table."""
    headings = [_in_one_line(column.heading) + MARKDOWN_ARROWS[column.better] for column in columns]
    rules = ["---:" if column.is_number(rows) else ":---" for column in columns]
    body = [[column.show(row).translate(MARKDOWN_ESCAPES) for column in columns] for row in rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in [headings, rules, *body])


def latex_table(columns: Sequence[Column], rows: Sequence[Row]) -> str:
    """`columns` of `rows` as a `tabular` for the package booktabs."""
    headings = [_in_one_line(column.heading) + LATEX_ARROWS[column.better] for column in columns]
    alignment = "".join("r" if column.is_number(rows) else "l" for column in columns)
    body = [[column.show(row).translate(LATEX_ESCAPES) for column in columns] for row in rows]
    lines = [" & ".join(cells) + r" \\" for cells in [headings, *body]]
    return "\n".join(
        [
            rf"\begin{{tabular}}{{{alignment}}}",
            r"\toprule",
            lines[0],
            r"\midrule",
            *lines[1:],
            r"\bottomrule",
            r"\end{tabular}",
        ]
    )


def _in_one_line(heading: str) -> str:
    return heading.replace("-\n", "-").replace("\n", " ")


def render_as(
    format: str, formats: Mapping[str, Callable[[Sequence[Row]], str]], rows: Sequence[Row], what: str
) -> str:
    """`rows` in one of `formats`, as text that any file can hold: names of data sets and files may be any.

    Args:
        format: a name in `formats`.
        formats: from rows to text.
        rows: at least one.
        what: a row is of, for the message where there is none: "checkpoint".

    Raises:
        EvaluationError: a format that is none of `formats`, or no rows.
    """
    if format not in formats:
        raise EvaluationError(f"unknown format {format!r}; choose one of {', '.join(formats)}.")
    if not rows:
        raise EvaluationError(f"there are no results to show; name at least one {what}.")
    shown = [{key: printable(v) if isinstance(v, str) else v for key, v in row.items()} for row in rows]
    return formats[format](shown)


def for_stdout(rows: Sequence[Row], format: str) -> list[Row]:
    """`rows` with their texts as stdout shows them, where the format lays them out in columns of so many characters."""
    if format != "table":
        return list(rows)
    return [{key: as_printed(v) if isinstance(v, str) else v for key, v in row.items()} for row in rows]
