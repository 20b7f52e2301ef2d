"""Train and score many systems under many seeds: `python compare.py configs/reports/*.yaml --seeds 5`.

What is done already is skipped, so that the same command goes on after a kill. The table goes to stdout and, with
a figure of quality against time, into the folder --out; progress goes to stderr.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from engine.run_folder import CHECKPOINTS
from evaluation.reported import FORMATS

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
console = Console(stderr=True, highlight=False, markup=False)


@app.command()
def main(
    systems: Annotated[list[str], typer.Argument(metavar="SYSTEM...", help="Config files, or methods' names.")],
    seeds: Annotated[str, typer.Option(help="How many, from 0 on; or a list: 0,3,7.")] = "5",
    data: Annotated[str | None, typer.Option(help="A data set for all, in place of the configs' own.")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="A setting for all.")] = None,
    grid: Annotated[
        list[str] | None, typer.Option(metavar="KEY=V1,V2,…", help="Every value of a setting, with all others.")
    ] = None,
    split: Annotated[
        list[str] | None, typer.Option(help="What to score; else what the report scored, or what was fitted.")
    ] = None,
    jobs: Annotated[int | None, typer.Option(help="Runs at a time; 2 where there are cores for it.")] = None,
    out: Annotated[Path, typer.Option(help="Folder of the table and the figure.")] = CHECKPOINTS / "comparison",
    format_: Annotated[str, typer.Option("--format", help=f"Of what is printed: {', '.join(FORMATS)}.")] = "table",
    data_root: Annotated[Path | None, typer.Option(help="Where the data sets are kept.")] = None,
) -> None:
    """Train, score and compare systems."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    jobs = jobs or min(2, cores)
