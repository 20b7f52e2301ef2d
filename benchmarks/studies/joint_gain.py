"""What joint training adds: scores where a clustering phase begins and where it ends.

    python -m benchmarks.studies.joint_gain checkpoints/fashion-mnist-*-s*

A run's first point of "watch only, uses labels" is the assignment by the freshly placed centroids or mixture: KMeans or
EM on the pretrained latents. The last one is that of the last refresh. Runs are grouped by name, their seeds aside.
"""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path
from typing import Annotated

import typer
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator  # type: ignore[import-untyped]

from benchmarks.studies.spread import spread
from report.tensorboard.guide import WATCH_ONLY

METRICS = ("acc", "nmi")


def main(runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Folders of runs, tb/ in each.")]) -> None:
    """Print the Markdown table; runs without such points are left out."""
    found: dict[str, list[dict[str, list[float]]]] = defaultdict(list)
    for run in runs:
        curves = watched(run)
        if all(len(points) > 1 for points in curves.values()):
            found[re.sub(r"-s\d+$", "", run.name)].append(curves)
    if not found:
        typer.echo(f"none of {len(runs)} runs has a clustering phase watched with labels.", err=True)
        raise typer.Exit(2)
    print("| runs | seeds | ACC at the start | at the end | NMI at the start | at the end | change in NMI |")
    print("|---|--:|--:|--:|--:|--:|--:|")
    for name, group in found.items():
        cells = [spread([curves[m][i] for curves in group], 3) for m in METRICS for i in (0, -1)]
        change = spread([curves["nmi"][-1] - curves["nmi"][0] for curves in group], 3, sign="+")
        print("| " + " | ".join([f"`{name}`", str(len(group)), *cells, change]) + " |")


def watched(run: Path) -> dict[str, list[float]]:
    """The scores at every refresh of the clustering phase, by metric; empty lists where none were logged."""
    events = EventAccumulator(str(run / "tb"), size_guidance={"scalars": 0}).Reload()
    known = events.Tags()["scalars"]
    tags = {metric: f"{WATCH_ONLY}/{metric}" for metric in METRICS}
    return {m: [point.value for point in events.Scalars(tag)] if tag in known else [] for m, tag in tags.items()}


if __name__ == "__main__":
    typer.run(main)
