"""Real processes killed at several points, and resumed to the same bits as a run that was never stopped."""

from __future__ import annotations

import shutil
import signal
from pathlib import Path

import pytest
import torch

import train
from engine.checkpoint import Checkpoint, read_checkpoint
from tests.forked import command
from tests.runs import EVERY_STEP, call, small_train

pytestmark = pytest.mark.forks


@pytest.fixture(scope="module")
def whole(trained: Path) -> Checkpoint:
    """A run that was never stopped."""
    return read_checkpoint(trained)


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
    line = small_train(out, "--resume", settings=EVERY_STEP)
    for point in points:
        killed = command(tmp_path, line, words=point)
        assert killed.exit_code == -signal.SIGKILL, killed.stderr
    done = command(tmp_path, line)
    assert done.exit_code == 0, done.stderr
    assert done.stdout == f"{out / 'checkpoint.pt'}\n"
    assert_same(read_checkpoint(out / "checkpoint.pt"), whole)


@pytest.mark.parametrize("wish", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_it_saves_says_how_to_go_on_and_does(
    whole: Checkpoint, tmp_path: Path, wish: signal.Signals
) -> None:
    # Checkpoints by time are off: only the interrupt can have saved the step.
    settings = ("runtime.checkpoint_seconds=3600",)
    out = tmp_path / "run"
    code, _, stderr = command(tmp_path, small_train(out, settings=settings), words="pretrain epoch 1/3", wish=wish)
    assert code == 130, stderr
    assert "--resume goes on" in stderr
    assert "Traceback" not in stderr
    loop = read_checkpoint(out / "checkpoint.pt").loop
    assert loop.global_step > 0
    assert not loop.done
    done = call(train.app, *small_train(out, "--resume", settings=settings)[2:])
    assert done.exit_code == 0, done.stderr
    assert_same(read_checkpoint(out / "checkpoint.pt"), whole)


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
