"""Rows of runs that were made elsewhere: on other machines, at other times."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from report.rows import Row, Value, value

IDENTITY = ("title", "data", "split", "seed")
"""What no two rows of a table may share."""


class RecordError(ValueError):
    """A file of rows that cannot be used. The message is for people."""


def read_rows(file: Path) -> list[Row]:
    """The rows of a file as `compare.py` writes it: one JSON object a line.

    Raises:
        RecordError: when the file cannot be read, or a line is no row of one run.
    """
    try:
        lines = file.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise RecordError(f"cannot read the rows in {file}: {getattr(error, 'strerror', None) or error}.") from error
    rows = [_row(line, f"{file}, line {number}") for number, line in enumerate(lines, start=1) if line.strip()]
    if not rows:
        raise RecordError(f"{file} holds no rows.")
    return rows


def joined(rows: Sequence[Row], recorded: Sequence[Row]) -> tuple[list[Row], int]:
    """`rows` and, of `recorded`, those that are not there yet: what was made here counts, else what comes first.

    Returns:
        All rows, systems in the order of their first one, each by seed; and how many of `recorded` were left out.
    """
    kept: dict[tuple[Value, ...], Row] = {}
    for row in (*rows, *recorded):
        kept.setdefault(tuple(value(row, key) for key in IDENTITY), row)
    titles = {title: place for place, title in enumerate(dict.fromkeys(value(row, "title") for row in kept.values()))}
    ordered = sorted(kept.values(), key=lambda row: (titles[value(row, "title")], int(value(row, "seed") or 0)))
    return ordered, len(rows) + len(recorded) - len(kept)


def without_place(row: Row) -> Row:
    """The row without the path of its checkpoint, which says nothing on another machine."""
    return {key: found for key, found in row.items() if key != "checkpoint"}


def _row(line: str, place: str) -> Row:
    try:
        found: dict[str, Value] = json.loads(line)
    except json.JSONDecodeError as error:
        raise RecordError(f"{place}: not JSON ({error.msg}). Rows are what compare.py writes as runs.jsonl.") from error
    missing = [key for key in IDENTITY if not isinstance(found, dict) or found.get(key) is None]
    if missing:
        raise RecordError(f"{place}: no {', '.join(missing)}. Rows are what compare.py writes as runs.jsonl.")
    if not isinstance(found["seed"], int):
        raise RecordError(f"{place}: seed {found['seed']!r} is of several runs; means cannot be averaged again.")
    return found
