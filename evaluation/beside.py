"""Reported figures beside ours: which columns a table of them has, its parts, and its notes.

Rows are those of `evaluation.table`, best means over seeds. These keys are looked at besides:

* `reported_<metric>`: what a published report gives for the metric of that name.
* `report`: the report and the system there, "A: KMeans, PCA 90 %". Without it a row is called by its title.
* `notes`: what must be said of a row, separated by `BETWEEN_NOTES`.
* `protocol`: "transductive" marks the split.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from evaluation.rows import BETWEEN_NOTES, COST, NOTES, SCORES, SD, Column, Row, Value, all_keys, value
from evaluation.seeds import REPORTED
from evaluation.table_terminal import FITTED

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
    """

    report: str
    rows: list[Row]


def parts(rows: Sequence[Row]) -> tuple[list[Part], list[str]]:
    """The rows by report, and all notes, of which the first has number 1. Both in the order of the rows."""
    found: dict[str, list[Row]] = {}
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
        found.setdefault(report, []).append({**row, **shown, "peak_memory_mb" + SD: None})
    return [Part(report, of_report) for report, of_report in found.items()], list(notes)


def pairs(rows: Sequence[Row]) -> list[Pair]:
    """The metrics that the report of these rows gives, ours and theirs; ACC, NMI and ARI where it gives none."""
    given = [pair for pair in (_pair(ours, rows) for ours in METRICS) if pair.reported is not None]
    return given or [Pair(ours, None) for ours in ALWAYS]


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
