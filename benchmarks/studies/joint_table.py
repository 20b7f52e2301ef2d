"""The README's table of the joint methods, from recorded runs.

    python -m benchmarks.studies.joint_table docs/results/joint-fashion-mnist.jsonl
    python -m benchmarks.studies.joint_table docs/results/joint-digits.jsonl

A row a system, fitted images and held-out ones side by side, mean ± standard deviation over the seeds. Runs of another
processor are recorded without seconds: the times are of the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from report.aggregate import over_seeds
from report.comparison.recorded import RecordError, read_rows
from report.rows import Column, Row, value

SCORES = (Column("acc", "ACC"), Column("nmi", "NMI"), Column("ari", "ARI"))
COSTS = (Column("seconds", "seconds", decimals=0), Column("images_per_second", "images/s", decimals=0))
ORDER = (
    *("dec", "brb-dec", "dec-da", "idec", "brb-idec", "dcec", "idec-da", "vae-dec", "vade", "dcn", "brb-dcn"),
    *("dkm", "dekm", "deepect", "deepdpm", "dipdeck", "n2d", "scan", "temi", "turtle", "pace"),
)
"""Relatives beside each other; a title that is not here stands last."""


def main(file: Annotated[Path, typer.Argument(help="A runs.jsonl of compare.py --split all.")]) -> None:
    """Print the table as Markdown."""
    try:
        lines = table(read_rows(file))
    except RecordError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from error
    print("\n".join(lines))


def table(rows: Sequence[Row]) -> list[str]:
    """The lines of the table, its head first.

    Raises:
        RecordError: when runs of one system differ in more than their seed.
    """
    head = "| method | ACC | NMI | ARI | held-out ACC | NMI | ARI | seconds | images/s | seeds |"
    titles = list(dict.fromkeys(str(value(row, "title")) for row in rows))
    titles.sort(key=lambda title: ORDER.index(title) if title in ORDER else len(ORDER))
    return [head, "|---" + "|--:" * 9 + "|", *(line([row for row in rows if row["title"] == t]) for t in titles)]


def line(rows: Sequence[Row]) -> str:
    """The line of one system, from the rows of its runs."""
    cells = [f"`{value(rows[0], 'title')}`"]
    fitted, held_out = ([row for row in rows if row["split"] == split] for split in ("train", "test"))
    cells += [column.show(only(part)) for part in (fitted, held_out) for column in SCORES]
    timed = only([row for row in fitted if value(row, "seconds") is not None])
    cells += [column.show(timed) for column in COSTS]
    return "| " + " | ".join([*cells, str(len(fitted))]) + " |"


def only(rows: Sequence[Row]) -> Row:
    """The one mean of runs that differ in their seed alone; empty for no runs.

    Raises:
        RecordError: when they differ in more.
    """
    means = over_seeds(rows)
    if len(means) > 1:
        raise RecordError(f"runs of {value(rows[0], 'title')} differ in more than their seed; their mean says nothing.")
    return means[0] if means else {}


if __name__ == "__main__":
    typer.run(main)
