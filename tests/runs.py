"""Small runs for tests: a config that takes a second, and the commands as a person calls them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from typer import Typer
from typer.testing import CliRunner

ROOT = Path(__file__).resolve().parent.parent

SMALL = (
    "model.layers=[{channels: 4, kernel: 3}, {channels: 8, kernel: 3}]",
    "model.hidden=[16]",
    "pretrain.epochs=3",
    "pretrain.min_steps=0",
    "pretrain.batch_size=128",
    "initialise.redos=2",
    "cluster.max_epochs=3",
    "cluster.min_steps=0",
    "cluster.batch_size=128",
    "cluster.update_interval=4",
    "cluster.tol=0",
)
EVERY_STEP = ("runtime.checkpoint_seconds=0",)
"""A checkpoint after every step, so that a run can be killed anywhere. It takes most of a small run's time."""


def small_train(out: Path, *arguments: str, settings: tuple[str, ...] = ()) -> list[str]:
    """The command line of a small run of DEC on digits into `out`."""
    assignments = [part for setting in (*SMALL, *settings) for part in ("--set", setting)]
    return [
        sys.executable, "train.py", "--method", "dec", "--data", "digits", "--device", "cpu", "--no-share",
        "--out", str(out), *assignments, *arguments,
    ]  # fmt: skip


def run(command: list[str], timeout: float = 240) -> subprocess.CompletedProcess[str]:
    """Run a command in the project's folder, on one thread, and wait for it."""
    return subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=timeout)


def environment() -> dict[str, str]:
    """Of a child process: one thread, so that tests do not fight over the cores, and a wide terminal."""
    return {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "200"}


class Called(NamedTuple):
    """How a command ended, and what it said."""

    exit_code: int
    stdout: str
    stderr: str


def call(app: Typer, *arguments: str) -> Called:
    """A command within this process, which spares the seconds of a new one's imports."""
    result = CliRunner().invoke(app, arguments, env={"COLUMNS": "200"})
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Called(result.exit_code, result.stdout, result.stderr)
