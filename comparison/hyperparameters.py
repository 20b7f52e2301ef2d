"""The points of a grid on TensorBoard's HParams page."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml
from torch.utils.tensorboard import SummaryWriter

from comparison.plan import Run
from configs.load import short_name
from evaluation.rows import Row, value
from monitoring.guide import WATCH_ONLY
from terminal.names import printable

AGREEMENT = ("acc", "nmi", "ari", "ami", "purity")
OTHERS = ("silhouette", "inertia", "log_likelihood", "bic", "seconds")


def log_hyperparameters(folder: Path, runs: Sequence[Run], rows: Mapping[str, Row]) -> None:
    """One session a run, with the grid's settings and the scores of its first split; what was there is replaced.

    Args:
        folder: of the sessions, in which TensorBoard looks.
        runs: of a grid.
        rows: the scores, by the runs' names; a run without any is left out.
    """
    shutil.rmtree(folder, ignore_errors=True)
    for run in runs:
        row = rows.get(run.name)
        if row is None:
            continue
        settings = {short_name(path, run.point): _plain(text) for path, text in run.point.items()}
        tags = {name: f"score/{name}" for name in OTHERS} | {name: f"{WATCH_ONLY}/{name}" for name in AGREEMENT}
        scores = {tag: found for name, tag in tags.items() if isinstance(found := value(row, name), int | float)}
        with SummaryWriter(str(folder / f"{run.config.title},seed={run.config.seed}")) as writer:
            writer.add_hparams({**settings, "seed": run.config.seed}, scores, run_name=".")


def _plain(text: str) -> float | str | bool:
    """A grid's value as the page sorts it: a number where it is one ("1e-3" is, though YAML says a string)."""
    try:
        return float(text)
    except ValueError:
        parsed = yaml.safe_load(text)
        return parsed if isinstance(parsed, bool) else printable(text)
