"""From rows to text, by the name of a format."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from evaluation.errors import EvaluationError
from evaluation.rows import Row
from terminal.names import printable
from terminal.streams import as_printed


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
