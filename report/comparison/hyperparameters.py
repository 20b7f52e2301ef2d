"""The points of a grid on TensorBoard's HParams page."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from torch.utils.tensorboard import SummaryWriter

from configs.load import short_name
from configs.schema import RunConfig
from report.comparison.plan import Run
from report.rows import Row, value
from report.tensorboard.guide import WATCH_ONLY
from system.names import printable

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
        settings = {short_name(path, run.point): setting_shown(run.config, path) for path in run.point}
        tags = {name: f"score/{name}" for name in OTHERS} | {name: f"{WATCH_ONLY}/{name}" for name in AGREEMENT}
        scores = {tag: found for name, tag in tags.items() if isinstance(found := value(row, name), int | float)}
        with SummaryWriter(str(folder / f"{run.config.title},seed={run.config.seed}")) as writer:
            writer.add_hparams({**settings, "seed": run.config.seed}, scores, run_name=".")


def setting_shown(config: RunConfig, path: str) -> float | str | bool:
    """A setting as the page sorts it: a number or a truth value where the setting is one."""
    found: object = config.model_dump(mode="json")
    for key in path.split("."):
        found = found.get(key) if isinstance(found, dict) else None
    if isinstance(found, bool):
        return found
    return float(found) if isinstance(found, int | float) else printable(str(found))
