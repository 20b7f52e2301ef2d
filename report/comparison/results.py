"""What a comparison leaves behind: the runs' scores, tables in every format, and figures."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import BinaryIO

from engine.checkpoint import read_checkpoint
from engine.errors import CheckpointError
from report.aggregate import over_seeds
from report.comparison.plan import Run
from report.comparison.recorded import without_place
from report.figures.compared_curves import History, compared_curves
from report.figures.files import draw_files
from report.figures.quality_time import quality_time
from report.formats import render_json
from report.reported import FORMATS, render_reported
from report.rows import Row, Value, value
from system.atomic import write_atomically
from system.streams import say

ENDINGS = {"table": ".txt", "markdown": ".md", "csv": ".csv", "json": ".jsonl", "latex": ".tex"}
METRICS = ("ari", "nmi")
RUNS = "runs.jsonl"


def scores(run: Run) -> list[Row]:
    """The rows of a run's splits, as eval.py wrote them."""
    return [json.loads(run.scores(split).read_text("utf-8")) for split in run.splits if run.is_scored(split)]


def write(rows: Sequence[Row], runs: Sequence[Run], folder: Path) -> list[str]:
    """Every run's scores, for `--rows` on another machine; tables and figures of their means. What went wrong."""
    lines = render_json([without_place(row) for row in rows]) + "\n"
    try:
        write_atomically(folder / RUNS, partial(_fill, lines.encode()))
        return write_tables(over_seeds(rows), histories(runs), folder)
    except OSError as error:
        return [f"cannot write into {folder}: {error.strerror or error}. --out names another folder."]


def histories(runs: Sequence[Run]) -> dict[str, list[History]]:
    """The losses over the epochs of all runs, by their title. A run whose checkpoint is gone keeps its scores alone."""
    found: dict[str, list[History]] = {}
    for run in runs:
        try:
            history = read_checkpoint(run.checkpoint).loop.history
        except CheckpointError as error:
            say(f"no learning curve of {run.name}: {error}")
        else:
            found.setdefault(run.config.title, []).append(history)
    return found


def write_tables(rows: Sequence[Row], losses: Mapping[str, Sequence[History]], folder: Path) -> list[str]:
    """The table in every format, all values as CSV, and the figures: quality against time, and learning curves.

    Returns which figures could not be drawn, for people.

    Raises:
        OSError: when the folder cannot be written.
    """
    for name in FORMATS:
        text = (render_reported(rows, name) + "\n").encode()
        write_atomically(folder / f"table{ENDINGS[name]}", partial(_fill, text))
    points: dict[tuple[Value, ...], Row] = {}
    for row in rows:  # a point a system, of the split that comes first
        points.setdefault(tuple(value(row, key) for key in ("title", "data", "threads", "device")), row)
    figures = {
        "quality_time": lambda: quality_time(list(points.values()), METRICS),
        "learning_curves": lambda: compared_curves(losses),
    }
    drawn = draw_files(figures, folder, [str(value(row, "title")) for row in rows])
    say(f"tables and figures: {folder}")
    return [drawn.problem] if drawn.problem else []


def _fill(content: bytes, file: BinaryIO) -> None:
    file.write(content)
