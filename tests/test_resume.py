"""Real processes killed at several points, and resumed to the same bits as a run that was never stopped."""

from __future__ import annotations

import io
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import train
from engine.checkpoint import Checkpoint, read_checkpoint
from tests.runs import EVERY_STEP, ROOT, call, environment, run, small_train


@pytest.fixture(scope="module")
def whole(trained: Path) -> Checkpoint:
    """A run that was never stopped."""
    return read_checkpoint(trained)


class LastWords(io.TextIOWrapper):
    """A stderr that kills its process as soon as it has said `words`."""

    words = ""

    def write(self, text: str) -> int:
        written = super().write(text)
        self.flush()
        if self.words in text:
            os.kill(os.getpid(), signal.SIGKILL)
        return written


def train_until(words: str, log: Path, arguments: list[str]) -> None:
    sys.stderr = LastWords(log.open("wb"), encoding="utf-8")
    sys.stderr.words = words
    train.app(arguments)


def killed_at(words: str, log: Path, arguments: list[str]) -> int | None:
    """Train in a process of its own up to the words, with what it says in `log`; its exit code."""
    # A fork of a process that has imported what the command needs, which takes it seconds.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["train", "lightning_fabric"])
    process = context.Process(target=train_until, args=(words, log, arguments))
    process.start()
    process.join()
    return process.exitcode


def stopped_when(command: list[str], line_has: str, wish: signal.Signals) -> tuple[int, str]:
    """Start a command, send it the signal as soon as a line of its stderr has the text; its exit code and stderr."""
    with subprocess.Popen(
        command, cwd=ROOT, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        seen = ""
        for line in process.stderr:
            seen += line
            if line_has in line:
                process.send_signal(wish)
                break
        seen += process.stderr.read()
        return process.wait(timeout=120), seen


def assert_same(one: Checkpoint, other: Checkpoint) -> None:
    """Weights, centroids, target and labels, bit for bit."""
    assert one.loop.done
    assert other.loop.done
    tensors = [name for name, value in one.method.items() if isinstance(value, torch.Tensor)]
    assert len(tensors) > 10
    for name in tensors:
        assert torch.equal(one.method[name], other.method[name]), name
    assert one.assignments is not None
    assert other.assignments is not None
    assert torch.equal(one.assignments, other.assignments)
    losses = [
        [(row["phase"], row["epoch"], row["loss"]) for row in checkpoint.loop.history if "loss" in row]
        for checkpoint in (one, other)
    ]
    assert losses[0] == losses[1]
    assert len(losses[0]) == 6


def test_killed_in_every_phase_and_resumed(whole: Checkpoint, tmp_path: Path) -> None:
    points = (
        "pretrain:",  # before the first step
        "pretrain epoch 2/3",
        "pretrain epoch 3/3",  # the hand-over from pretraining
        "initialise: done",  # the hand-over to clustering
        "cluster epoch 1/3",
        "cluster epoch 3/3",  # before the assignments are final
    )
    out = tmp_path / "run"
    for number, point in enumerate(points):
        log = tmp_path / f"{number}.txt"
        code = killed_at(point, log, small_train(out, "--resume", settings=EVERY_STEP)[2:])
        assert code == -signal.SIGKILL, log.read_text("utf-8")
    done = run(small_train(out, "--resume", settings=EVERY_STEP))
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{out / 'checkpoint.pt'}\n"
    assert_same(read_checkpoint(out / "checkpoint.pt"), whole)


@pytest.mark.parametrize("wish", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_it_saves_says_how_to_go_on_and_does(
    whole: Checkpoint, tmp_path: Path, wish: signal.Signals
) -> None:
    # Checkpoints by time are off: only the interrupt can have saved the step.
    settings = ("runtime.checkpoint_seconds=3600",)
    code, stderr = stopped_when(small_train(tmp_path, settings=settings), "pretrain epoch 1/3", wish)
    assert code == 130, stderr
    assert "--resume goes on" in stderr
    assert "Traceback" not in stderr
    loop = read_checkpoint(tmp_path / "checkpoint.pt").loop
    assert loop.global_step > 0
    assert not loop.done
    done = call(train.app, *small_train(tmp_path, "--resume", settings=settings)[2:])
    assert done.exit_code == 0, done.stderr
    assert_same(read_checkpoint(tmp_path / "checkpoint.pt"), whole)


def test_a_finished_run_is_left_as_it_is(trained: Path, tmp_path: Path) -> None:
    shutil.copytree(trained.parent, tmp_path, dirs_exist_ok=True)
    before = (tmp_path / "checkpoint.pt").read_bytes()
    again = call(train.app, *small_train(tmp_path, "--resume")[2:])
    assert again.exit_code == 0
    assert "finished; nothing to do" in again.stderr
    assert again.stdout == f"{tmp_path / 'checkpoint.pt'}\n"
    assert (tmp_path / "checkpoint.pt").read_bytes() == before

    careless = call(train.app, *small_train(tmp_path)[2:])
    assert careless.exit_code == 2
    assert "holds an earlier run. --resume goes on with it, --overwrite starts anew" in careless.stderr
    assert (tmp_path / "checkpoint.pt").read_bytes() == before

    other_config = call(train.app, *small_train(tmp_path, "--resume", "--seed", "5", "--clusters", "7")[2:])
    assert other_config.exit_code == 2
    assert "seed: 0 → 5" in other_config.stderr
    assert "clusters: 10 → 7" in other_config.stderr
    assert "Traceback" not in other_config.stderr

    (tmp_path / "checkpoint.pt").write_bytes(before[: len(before) // 2])
    damaged = call(train.app, *small_train(tmp_path, "--resume")[2:])
    assert damaged.exit_code == 2
    assert "is damaged" in damaged.stderr
    assert "Traceback" not in damaged.stderr
