"""Real processes killed at several points, and resumed to the same bits as a run that was never stopped."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from engine.checkpoint import Checkpoint, read_checkpoint
from tests.runs import ROOT, environment, run, small_train


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    """A run that was never stopped."""
    out = tmp_path_factory.mktemp("whole")
    done = run(small_train(out))
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{out / 'checkpoint.pt'}\n"
    return read_checkpoint(out / "checkpoint.pt")


def stop_when(command: list[str], line_has: str, stop: Callable[[subprocess.Popen[str]], None]) -> tuple[int, str]:
    """Start a command, `stop` it as soon as a line of its stderr has the text; its exit code and stderr."""
    with subprocess.Popen(
        command, cwd=ROOT, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        seen = ""
        for line in process.stderr:
            seen += line
            if line_has in line:
                stop(process)
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
    losses = [[row.get("loss") for row in checkpoint.loop.history] for checkpoint in (one, other)]
    assert losses[0] == losses[1]


def test_killed_in_every_phase_and_resumed(whole: Checkpoint, tmp_path: Path) -> None:
    points = (
        "pretrain:",  # before the first step
        "pretrain epoch 2/3",
        "pretrain epoch 3/3",  # the hand-over from pretraining
        "initialise: done",  # the hand-over to clustering
        "cluster epoch 1/3",
        "cluster epoch 3/3",  # before the assignments are final
    )
    for point in points:
        code, stderr = stop_when(small_train(tmp_path, "--resume"), point, lambda process: process.kill())
        # After the last epoch the process may be done before the signal arrives.
        assert code == -signal.SIGKILL or (point == points[-1] and code == 0), stderr
    done = run(small_train(tmp_path, "--resume"))
    assert done.returncode == 0, done.stderr
    assert_same(read_checkpoint(tmp_path / "checkpoint.pt"), whole)


@pytest.mark.parametrize("wish", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_it_saves_says_how_to_go_on_and_does(
    whole: Checkpoint, tmp_path: Path, wish: signal.Signals
) -> None:
    # Checkpoints by time are off: only the interrupt can have saved the step.
    settings = ("runtime.checkpoint_seconds=3600",)
    code, stderr = stop_when(
        small_train(tmp_path, settings=settings), "pretrain epoch 1/3", lambda process: process.send_signal(wish)
    )
    assert code == 130, stderr
    assert "--resume goes on" in stderr
    assert "Traceback" not in stderr
    loop = read_checkpoint(tmp_path / "checkpoint.pt").loop
    assert loop.global_step > 0
    assert not loop.done
    done = run(small_train(tmp_path, "--resume", settings=settings))
    assert done.returncode == 0, done.stderr
    assert_same(read_checkpoint(tmp_path / "checkpoint.pt"), whole)


def test_a_finished_run_is_left_as_it_is(tmp_path: Path) -> None:
    first = run(small_train(tmp_path))
    before = (tmp_path / "checkpoint.pt").read_bytes()
    again = run(small_train(tmp_path, "--resume"))
    assert (first.returncode, again.returncode) == (0, 0)
    assert "finished; nothing to do" in again.stderr
    assert again.stdout == first.stdout
    assert (tmp_path / "checkpoint.pt").read_bytes() == before

    careless = run(small_train(tmp_path))
    assert careless.returncode == 2
    assert "holds an earlier run. --resume goes on with it, --overwrite starts anew" in careless.stderr
    assert (tmp_path / "checkpoint.pt").read_bytes() == before

    other_config = run(small_train(tmp_path, "--resume", "--seed", "5", "--clusters", "7"))
    assert other_config.returncode == 2
    assert "seed: 0 → 5" in other_config.stderr
    assert "clusters: 10 → 7" in other_config.stderr
    assert "Traceback" not in other_config.stderr

    (tmp_path / "checkpoint.pt").write_bytes(before[: len(before) // 2])
    damaged = run(small_train(tmp_path, "--resume"))
    assert damaged.returncode == 2
    assert "is damaged" in damaged.stderr
    assert "Traceback" not in damaged.stderr
