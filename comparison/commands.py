"""The commands that train and score a run, as a person would type them."""

from __future__ import annotations

import sys
from pathlib import Path

from comparison.plan import Run

ROOT = Path(__file__).resolve().parent.parent


def train_command(run: Run, data_root: Path | None) -> list[str]:
    """The command that begins the run, or goes on with it."""
    is_file = run.source.endswith((".yaml", ".yml"))
    settings = [part for assignment in run.assignments for part in ("--set", assignment)]
    return [
        sys.executable, str(ROOT / "train.py"), "--config" if is_file else "--method", run.source, *settings,
        "--data", run.config.data.name, "--seed", str(run.config.seed), "--resume", *_root(data_root),
    ]  # fmt: skip


def score_command(run: Run, split: str, data_root: Path | None) -> list[str]:
    """The command that scores one split of the finished run, as one line of JSON into `run.scores(split)`."""
    forests = run.config.report is not None and run.config.report.classify and split == "test"
    classify = ["--classify", "add", "--classify", "replace"] if forests else []
    return [
        sys.executable, str(ROOT / "eval.py"), str(run.checkpoint), "--split", split, "--format", "json",
        "--output", str(run.scores(split)), "--no-neighbours", *classify, *_root(data_root),
    ]  # fmt: skip


def _root(data_root: Path | None) -> list[str]:
    return [] if data_root is None else ["--data-root", str(data_root)]
