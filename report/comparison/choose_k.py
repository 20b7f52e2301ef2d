"""The command `compare.py --k`: runs for every k, a table, a figure, one sentence of advice."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import BinaryIO

from report.comparison.advice import Advice, advise
from report.comparison.over_k import Tried, row_of
from report.comparison.over_k_table import FORMATS, advice_lines, render_over_k
from report.figures.files import draw_files
from report.figures.over_k import over_k
from report.formats import for_stdout
from report.rows import Row, value
from system.atomic import write_atomically

NAME = "over_k"
"""Of the files, before their endings."""


def rows_over_k(tried: Sequence[Tried], failures: Mapping[str, str]) -> tuple[list[Row], dict[str, Advice]]:
    """A row a method and k, and the advice by the methods' titles."""
    rows = [row_of(one, failures) for one in tried]
    titles = dict.fromkeys(str(value(row, "title")) for row in rows)
    return rows, {title: advise([row for row in rows if value(row, "title") == title]) for title in titles}


def printed_over_k(rows: Sequence[Row], advice: Mapping[str, Advice], format: str, say: Callable[[str], None]) -> str:
    """What goes to stdout; where that is for programs, the advice is said beside it."""
    if format not in ("table", "markdown"):
        say(advice_lines(advice))
    return render_over_k(for_stdout(rows, format), advice, format)


def write_over_k(
    rows: Sequence[Row], advice: Mapping[str, Advice], folder: Path, endings: Mapping[str, str]
) -> list[str]:
    """The table in every format and the figure; what could not be drawn or written, for people."""
    try:
        for format in FORMATS:
            text = (render_over_k(rows, advice, format) + "\n").encode()
            write_atomically(folder / f"{NAME}{endings[format]}", partial(_fill, text))
    except OSError as error:
        return [f"cannot write into {folder}: {error.strerror or error}. --out names another folder."]
    advised = {title: found.k for title, found in advice.items()}
    drawn = draw_files({NAME: lambda: over_k(rows, advised)}, folder, list(advised))
    return [drawn.problem] if drawn.problem else []


def _fill(content: bytes, file: BinaryIO) -> None:
    file.write(content)
