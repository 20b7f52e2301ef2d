"""How alike runs are that differ in their seed alone: mean ARI between the assignments of every two of them. No labels.

    python -m benchmarks.studies.stability checkpoints/*/checkpoint.pt

Runs are grouped by all their settings but the seed; a group is named by what sets it apart from the first one.
"""

from __future__ import annotations

import itertools
import json
import statistics
from pathlib import Path
from typing import Annotated, Any

import typer

from configs.load import differences
from engine.checkpoint import Checkpoint, read_checkpoint
from evaluation.agreement import adjusted_rand_index
from evaluation.contingency import contingency


def main(checkpoints: Annotated[list[Path], typer.Argument(help="Finished runs.")]) -> None:
    """Print a Markdown table, a row a group."""
    groups: dict[str, list[Checkpoint]] = {}
    for path in checkpoints:
        checkpoint = read_checkpoint(path)
        groups.setdefault(json.dumps(settings(checkpoint), sort_keys=True), []).append(checkpoint)
    first = settings(next(iter(groups.values()))[0])
    print("| settings | seeds | mean ARI between seeds | lowest | highest |")
    print("|---|---|--:|--:|--:|")
    for runs in groups.values():
        apart = [line.replace(" → ", " to ") for line in differences(first, settings(runs[0]))]
        seeds = ", ".join(str(run.config["seed"]) for run in runs)
        alike = agreement_between(runs)
        figures = f"{statistics.fmean(alike):.3f} | {min(alike):.3f} | {max(alike):.3f}" if alike else "– | – | –"
        print(f"| {'; '.join(apart) or 'first'} | {seeds} | {figures} |")


def settings(checkpoint: Checkpoint) -> dict[str, Any]:
    """The config without its seed."""
    return {key: value for key, value in checkpoint.config.items() if key != "seed"}


def agreement_between(runs: list[Checkpoint]) -> list[float]:
    """ARI of every two runs' assignments of the training images."""
    labels = [run.assignments for run in runs if run.assignments is not None]
    return [adjusted_rand_index(contingency(one, other)) for one, other in itertools.combinations(labels, 2)]


if __name__ == "__main__":
    typer.run(main)
