"""The table of docs/unequal-sizes.md, from recorded runs on classes of unequal size.

    python -m benchmarks.studies.unequal_table docs/results/unequal

A row a method. `SET.jsonl` in the folder has the runs with default settings, `SET-learned.jsonl` those with
`cluster.prior=learned`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from report.comparison.recorded import RecordError, read_rows
from report.rows import Column, Row, value

SETS = {"900-50-50": "900, 50, 50", "tail-10": "tail of 10", "tail-50": "tail of 50"}
"""By the name of the record, the images in words."""
SCORES = (Column("balanced_acc", "balanced ACC"), Column("ari", "ARI"))
ORDER = (
    *("raw-kmeans", "pca-gmm", "raw-spectral", "umap-gmm", "ae-kmeans", "vae-gmm", "simclr-kmeans", "n2d"),
    *("dec", "idec", "dcec", "vae-dec", "dec-da", "idec-da", "dcn", "dkm", "dekm", "vade", "deepect"),
    *("deepdpm", "dipdeck", "turtle", "scan", "temi", "pace"),
)
"""Two stages first, then relatives beside each other."""


def main(folder: Annotated[Path, typer.Argument(help="Records, two for each set.")]) -> None:
    """Print the table as Markdown."""
    try:
        lines = table(folder)
    except RecordError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from error
    print("\n".join(lines))


def table(folder: Path) -> list[str]:
    """The lines of the table, its head first.

    Raises:
        RecordError: when a record cannot be read.
    """
    found = {(name, prior): runs(folder / f"{name}{prior}.jsonl") for name in SETS for prior in ("", "-learned")}
    empty = " |" * (len(SCORES) - 1)
    lines = [
        "| |" + "".join(f" {words} |{empty}" for words in SETS.values()),
        "|---" + "|--:" * len(SETS) * len(SCORES) + "|",
        "| **method** |" + "".join(f" {column.heading} |" for _ in SETS for column in SCORES),
    ]
    for method in ORDER:
        for prior, words in (("", ""), ("-learned", ", prior learned")):
            rows = [found[name, prior].get(method, {}) for name in SETS]
            if any(rows):
                cells = [column.show(row) for row in rows for column in SCORES]
                lines.append(f"| `{method}`{words} | {' | '.join(cells)} |")
    return lines


def runs(file: Path) -> Mapping[str, Row]:
    """The runs of a record by their titles, on the images that were fitted to.

    Raises:
        RecordError: when it cannot be read, or a method that has no place in the table ran.
    """
    rows = {str(value(row, "title")): row for row in read_rows(file) if row["split"] == "train"}
    if unknown := sorted(set(rows) - set(ORDER)):
        raise RecordError(f"{file} has runs of {', '.join(unknown)}, which have no place in the table.")
    return rows


if __name__ == "__main__":
    typer.run(main)
