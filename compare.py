"""Train and score many systems under many seeds: `python compare.py configs/reports/*.yaml --seeds 5`.

What is done already is skipped, so that the same command goes on after a kill. The table goes to stdout and, with
a figure of quality against time, into the folder --out; progress goes to stderr.
"""

from __future__ import annotations

from system.start import quiet_imports

if __name__ == "__main__":
    quiet_imports()

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from report.format_names import FORMATS
from system.command import App, NoCache, leave

if TYPE_CHECKING:
    from collections.abc import Sequence

    from report.comparison.over_k import Tried
    from report.comparison.schedule import Schedule

app = App()


@app.command()
def main(
    systems: Annotated[
        list[str] | None, typer.Argument(metavar="SYSTEM...", help="Config files, or methods' names.")
    ] = None,
    seeds: Annotated[
        str | None, typer.Option(help="How many, from 0 on; or a list: 0,3,7 (one: 3,). Default: 5; with --k 3.")
    ] = None,
    data: Annotated[str | None, typer.Option(help="A data set for all, in place of the configs' own.")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="A setting for all.")] = None,
    grid: Annotated[
        list[str] | None, typer.Option(metavar="KEY=V1,V2,...", help="Every value of a setting, with all others.")
    ] = None,
    k: Annotated[
        str | None, typer.Option("--k", help="Numbers of clusters, to choose one: 4,6,8,12 or 2-20 or 2-20:2.")
    ] = None,
    split: Annotated[
        list[str] | None, typer.Option(help="What to score; else what the report scored, or what was fitted.")
    ] = None,
    recorded: Annotated[
        list[Path] | None, typer.Option("--rows", help="A runs.jsonl of runs of these settings made elsewhere.")
    ] = None,
    jobs: Annotated[int | None, typer.Option(help="Runs at a time; 2 where there are cores for it.")] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder of the table and the figure; checkpoints/comparison if not given.")
    ] = None,
    format_: Annotated[str, typer.Option("--format", help=f"Of what is printed: {', '.join(FORMATS)}.")] = "table",
    data_root: Annotated[Path | None, typer.Option(help="Where the data sets are kept.")] = None,
    no_cache: NoCache = False,
) -> None:
    """Train, score and compare systems."""
    # Here, where torch and all that stands on it are needed: --help answers without these seconds.
    from configs.load import ConfigError
    from data.image_set import DataError
    from engine.checkpoints_folder import CHECKPOINTS
    from report.aggregate import over_seeds
    from report.comparison.hyperparameters import log_hyperparameters
    from report.comparison.over_k import parse_k, plan_over_k
    from report.comparison.own_images import OwnImages
    from report.comparison.plan import parse_grid, parse_seeds, plan
    from report.comparison.recorded import RecordError, joined, read_rows
    from report.comparison.results import scores, write
    from report.comparison.schedule import Schedule
    from report.formats import for_stdout
    from report.reported import render_reported
    from system.streams import say

    out = out or CHECKPOINTS / "comparison"
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    jobs = jobs or min(2, cores)
    if format_ not in FORMATS:
        raise leave([f"--format {format_}: formats are {', '.join(FORMATS)}."])
    if not systems and not recorded:
        raise leave(["name SYSTEMs to run: methods or config files; or --rows FILE to tabulate runs made elsewhere."])
    if k is not None and (grid or recorded or split):
        raise leave(["--k compares numbers of clusters alone: leave --grid, --rows and --split out."])
    images = OwnImages(data_root)
    try:
        if k is not None:
            tried = plan_over_k(systems or [], parse_k(k), parse_seeds(seeds or "3"), set_ or [], data, images.count)
            for run in [run for one in tried for run in one.runs]:
                run.check_folder(images)
            del images  # the runs read their own
            choose_k(tried, jobs, max(1, cores // jobs), out, format_, data_root)
            return
        elsewhere = [row for file in recorded or [] for row in read_rows(file)]
        points = parse_grid(grid or [])
        runs = plan(systems or [], parse_seeds(seeds or "5"), set_ or [], points, data, split or [], images.classes)
        for run in runs:
            run.check_folder(images)
    except (ConfigError, DataError, RecordError) as error:
        raise leave([str(error)]) from error
    del images  # the runs read their own
    schedule = Schedule(runs, jobs, max(1, cores // jobs), say, data_root)
    carry_out(schedule)
    rows = {run.name: scores(run) for run in runs if any(run.is_scored(split) for split in run.splits)}
    problems = [f"{name}: {problem}" for name, problem in schedule.failures.items()]
    every, repeated = joined([row for found in rows.values() for row in found], elsewhere)
    if repeated:
        say(f"{repeated} rows of --rows are there already and were left out")
    if every:
        problems += write(every, [run for run in runs if run.name in rows], out)
        if grid:
            log_hyperparameters(out / "hparams", runs, {name: found[0] for name, found in rows.items()})
            say(f"grid: tensorboard --logdir {out / 'hparams'}")
        print(render_reported(for_stdout(over_seeds(every), format_), format_))
    if problems:
        raise leave(problems, 1)


def carry_out(schedule: Schedule) -> None:
    """Make the runs; leave where the user stops them."""
    try:
        schedule.carry_out()
    except KeyboardInterrupt as error:
        raise leave(["interrupted; the states are saved. The same command goes on."], 130) from error


def choose_k(tried: Sequence[Tried], jobs: int, threads: int, out: Path, format_: str, data_root: Path | None) -> None:
    """Make the runs of every k, print their table and advice, and write both and the figure into `out`."""
    from report.comparison.choose_k import printed_over_k, rows_over_k, write_over_k
    from report.comparison.results import ENDINGS
    from report.comparison.schedule import Schedule
    from system.streams import say

    runs = [run for one in tried for run in one.runs]
    schedule = Schedule(runs, jobs, threads, say, data_root)
    carry_out(schedule)
    rows, advice = rows_over_k(tried, schedule.failures)
    problems = [f"{name}: {problem}" for name, problem in schedule.failures.items()]
    problems += write_over_k(rows, advice, out, ENDINGS)
    say(f"tables and figure: {out}")
    print(printed_over_k(rows, advice, format_, say))
    if problems:
        raise leave(problems, 1)


if __name__ == "__main__":
    app()
