"""`runtime.precision: auto`, by a clock of our own: what is taken and written down, and that nothing else changes."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

import train
from configs.load import read_written
from data.image_set import ImageSet
from data.sources import load
from engine import precision
from engine.checkpoint import Checkpoint, read_checkpoint
from engine.fit import Fitted, fit
from engine.precision import Arithmetic, most_exact
from engine.processes import launch, use_tf32
from engine.progress import Display
from parts.pretraining import ReconstructionObjective
from tests.pretend_accelerator import pretend
from tests.runs import call, small_train
from tests.small import small_config
from tests.two_processes import in_two

EXACT, TF32, HALF = Arithmetic("32-true"), Arithmetic("32-true", True), Arithmetic("bf16-mixed")
SETTINGS = ("data.subset=200", "pretrain.noise=0.2", "pretrain.batch_size=50", "cluster.batch_size=50")
Costs = Callable[[float, float, float], None]


@pytest.fixture(scope="module")
def digits() -> ImageSet:
    return load("digits").subset(torch.arange(200))


@pytest.fixture
def costs(monkeypatch: pytest.MonkeyPatch) -> Iterator[Costs]:
    """Sets what a step takes in float32, in bf16 and in TF32: seconds of a clock that nothing else moves."""
    now = [0.0]
    forward = ReconstructionObjective.forward

    def setting(exact: float, half: float, tf32: float = 9.0) -> None:
        def timed(objective: ReconstructionObjective, batch: Any) -> Any:
            fast = torch.backends.cuda.matmul.allow_tf32
            now[0] += half if torch.is_autocast_enabled("cpu") else tf32 if fast else exact
            return forward(objective, batch)

        monkeypatch.setattr(ReconstructionObjective, "forward", timed)
        monkeypatch.setattr(precision, "time", SimpleNamespace(perf_counter=lambda: now[0]))

    yield setting
    use_tf32(False)


def run(images: ImageSet, asked: str, *settings: str, name: str = "dec", **more: Any) -> Fitted:
    return fit(small_config(name, 0, [*SETTINGS[: 4 if name == "dec" else 1], f"runtime.precision={asked}", *settings]),
               images, **more)  # fmt: skip


def weights(fitted: Fitted) -> dict[str, torch.Tensor]:
    state = fitted.method.state_dict()
    return {name: value.detach().cpu() for name, value in state.items() if isinstance(value, torch.Tensor)}


@pytest.mark.parametrize(
    ("seconds", "taken"),
    [
        ({EXACT: 2.0, HALF: 1.0}, HALF),
        ({EXACT: 1.0, HALF: 2.0}, EXACT),
        ({EXACT: 1.09, HALF: 1.0}, EXACT),
        ({EXACT: 1.11, HALF: 1.0}, HALF),
        ({EXACT: 2.0, TF32: 1.05, HALF: 1.0}, TF32),
        ({HALF: 1.0}, HALF),
    ],
)
def test_the_most_exact_one_that_is_about_as_fast_as_the_fastest(
    seconds: dict[Arithmetic, float], taken: Arithmetic
) -> None:
    assert most_exact(seconds) == taken


@pytest.mark.parametrize(("half", "taken"), [(0.01, "bf16-mixed"), (0.03, "32-true")])
def test_the_run_is_that_of_the_precision_that_is_taken(
    digits: ImageSet, costs: Costs, capsys: pytest.CaptureFixture[str], half: float, taken: str
) -> None:
    """To the bit: timing moves no generator and no weight. And phases are shared with runs that name it."""
    costs(0.02, half)
    found = run(digits, "auto", save=lambda checkpoint: None, display=Display())
    line = [line for line in capsys.readouterr().err.splitlines() if line.startswith("precision: ")]
    assert line == [f"precision: {taken} (a step of pretrain: 32-true 20 ms, bf16-mixed {1e3 * half:.3g} ms)"]
    assert found.checkpoint.config["runtime"]["precision"] == taken
    named = run(digits, taken, save=lambda checkpoint: None)
    assert found.checkpoint.config == named.checkpoint.config
    assert found.checkpoint.loop.keys == named.checkpoint.loop.keys
    assert found.checkpoint.environment == named.checkpoint.environment
    for name, value in weights(named).items():
        assert torch.equal(value, weights(found)[name]), name


def test_it_ends_in_bounded_time_on_the_clock(digits: ImageSet, costs: Costs) -> None:
    calls = []
    for exact, half in ((0.01, 0.02), (10.0, 20.0)):
        costs(exact, half)
        method = fit(small_config("dec", 0, [*SETTINGS, "pretrain.epochs=1"]), digits).method
        begin = precision.time.perf_counter()
        chosen, _ = precision._chosen(small_config("dec", 0, SETTINGS), method, digits.images, torch.device("cpu"), 1)
        calls.append(precision.time.perf_counter() - begin)
        assert chosen == EXACT
    assert calls[0] < precision.SECONDS + 1
    assert calls[1] == pytest.approx(10 + 20 + 10 + 20)  # a step to warm up and a timed one, of each


def test_a_resumed_run_keeps_it_and_times_nothing(
    digits: ImageSet, costs: Costs, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved: list[Checkpoint] = []
    costs(0.02, 0.01)
    every = "runtime.checkpoint_seconds=0"
    whole = run(digits, "auto", every, save=lambda c: saved.append(copy.deepcopy(c)))
    middle = next(c for c in saved if c.loop.batch and c.optimiser is not None)
    costs(0.01, 0.02)
    monkeypatch.setattr(precision, "Trial", None)  # which nothing could be timed with
    resumed = run(digits, "auto", every, earlier=middle)
    assert resumed.checkpoint.config["runtime"]["precision"] == "bf16-mixed"
    assert all(torch.equal(value, weights(resumed)[name]) for name, value in weights(whole).items())


def test_the_command_writes_it_down_and_knows_its_run_again(tmp_path: Path, costs: Costs) -> None:
    costs(0.02, 0.01)
    line = small_train(tmp_path, "--precision", "auto", settings=("data.subset=200",))[2:]
    first = call(train.app, *line)
    assert first.exit_code == 0, first.stderr
    assert read_written(tmp_path / "config.yaml")["runtime"]["precision"] == "bf16-mixed"
    assert read_checkpoint(tmp_path / "checkpoint.pt").config["runtime"]["precision"] == "bf16-mixed"
    again = call(train.app, *line, "--resume")
    assert again.exit_code == 0, again.stderr
    assert "nothing to do" in again.stderr
    other = call(train.app, *line, "--resume", "--precision", "32-true")
    assert other.exit_code == 2
    assert "runtime.precision: 'bf16-mixed' → '32-true'" in other.stderr


def test_where_no_network_is_trained_there_is_nothing_to_choose(
    digits: ImageSet, capsys: pytest.CaptureFixture[str]
) -> None:
    found = run(digits, "auto", name="raw-kmeans", display=Display())
    assert found.checkpoint.config["runtime"]["precision"] == "32-true"
    assert "precision: 32-true (no network is trained)" in capsys.readouterr().err


def test_a_precision_whose_steps_fail_is_left_out(
    digits: ImageSet, costs: Costs, monkeypatch: pytest.MonkeyPatch
) -> None:
    costs(0.02, 0.01)
    forward = ReconstructionObjective.forward

    def failing(objective: ReconstructionObjective, batch: Any) -> Any:
        if torch.is_autocast_enabled("cpu"):
            raise RuntimeError("not implemented for BFloat16")
        return forward(objective, batch)

    monkeypatch.setattr(ReconstructionObjective, "forward", failing)
    assert run(digits, "auto").checkpoint.config["runtime"]["precision"] == "32-true"


@pytest.mark.parametrize("tf32", [0.01, 0.03])
def test_on_an_accelerator_tf32_is_among_them_and_steps_are_captured(
    digits: ImageSet, costs: Costs, monkeypatch: pytest.MonkeyPatch, tf32: float
) -> None:
    costs(0.02, 0.02, tf32)
    monkeypatch.setattr(precision, "BURST", 0.0)
    monkeypatch.setattr(precision, "ROUNDS", 1)
    with pretend() as (accelerator, processes):
        found = run(digits, "auto", "runtime.capture=false", processes=processes)
        assert accelerator.captured == 0
        runtime = found.checkpoint.config["runtime"]
        assert (runtime["precision"], runtime["tf32"]) == ("32-true", tf32 < 0.02)
        assert torch.backends.cuda.matmul.allow_tf32 == (tf32 < 0.02)
    with pretend() as (accelerator, processes):
        run(digits, "auto", processes=processes)
        captured = accelerator.captured
    with pretend() as (accelerator, processes):
        run(digits, "32-true", processes=processes)
        assert captured >= accelerator.captured + 3


def agree(folder: str) -> None:
    """Processes whose own clocks say otherwise."""
    processes = launch(small_config("dec", 0, ["runtime.devices=2"]).runtime)
    rank = processes.fabric.global_rank
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(precision, "minima", lambda trials: {EXACT: 2.0 - rank, HALF: 1.0 + rank})
        found = run(load("digits").subset(torch.arange(200)), "auto", "runtime.devices=2", processes=processes)
    Path(folder, f"found-{rank}").write_text(found.checkpoint.config["runtime"]["precision"])


@pytest.mark.forks
def test_all_processes_take_what_the_first_one_found(tmp_path: Path) -> None:
    done = in_two(tmp_path, agree, str(tmp_path))
    assert done.codes == (0, 0), done.stderr
    assert [(tmp_path / f"found-{rank}").read_text() for rank in range(2)] == ["bf16-mixed", "bf16-mixed"]
