"""Every method on the pretend accelerator: from start to end, without a wait between reports, its steps captured."""

from __future__ import annotations

import copy
from collections import Counter, defaultdict
from typing import Any

import pytest
import torch
from torch import Tensor

from data.image_set import ImageSet
from data.sources import load
from engine.checkpoint import Checkpoint
from engine.errors import TrainingError
from engine.fit import Fitted, fit
from engine.loop import SCALARS_EVERY
from engine.processes import Processes, launch
from engine.steps import Steps
from engine.training_images import Ahead
from evaluation.evaluate import evaluate
from evaluation.predictions import predict
from methods.registry import METHOD_NAMES, METHODS
from parts.pretraining import ReconstructionObjective
from tests.pretend_accelerator import DEVICE, pretend
from tests.small import TESTED, small_config

JOINT = [name for name in METHODS if name not in METHOD_NAMES and name != "n2d"]
MORE_STEPS = (
    *("pretrain.min_steps=8", "pretrain.batch_size=50"),
    *("cluster.min_steps=8", "cluster.batch_size=50"),
)
"""Enough of them for a captured one to be replayed."""


@pytest.fixture(scope="module")
def digits() -> ImageSet:
    return load("digits").subset(torch.arange(200))


def config_of(name: str, *settings: str) -> Any:
    return small_config(name, 0, [*(MORE_STEPS if name in JOINT else ()), *settings])


def numbers(fitted: Fitted) -> dict[str, Tensor]:
    state = fitted.method.state_dict()
    return {name: value.detach().cpu() for name, value in state.items() if isinstance(value, Tensor)}


def trained(name: str, images: ImageSet, processes: Processes, **more: Any) -> Fitted:
    return fit(config_of(name, *more.pop("settings", ())), images, processes=processes, **more)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.umap] if "umap" in name or name == "n2d" else []) for name in TESTED]
)
def test_it_runs_and_is_scored_there_and_no_step_waits(
    name: str, digits: ImageSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """But for a phase's first step, which brings the method's state there, and for those that are reported.

    A replay runs no Python: what a method changed there, or put into new tensors, would be missing from the end.
    """
    waits: dict[str, dict[int, Counter[str]]] = defaultdict(dict)
    take = Steps.take

    with pretend() as (accelerator, processes):

        def counted(steps: Steps, step: int, *rest: Any) -> None:
            before = Counter(accelerator.waits)
            take(steps, step, *rest)
            if step % SCALARS_EVERY and (found := accelerator.waits - before):
                waits[steps.phase.name][step] = found

        monkeypatch.setattr(Steps, "take", counted)
        fitted = trained(name, digits, processes)
        assert dict(waits) == {}
        assert 0 <= evaluate(predict(fitted.method, digits))["acc"] <= 1
    if name in JOINT:
        assert accelerator.captured >= 1
        with pretend() as (_, processes):
            launched = numbers(trained(name, digits, processes, settings=["runtime.capture=false"]))
        captured = numbers(fitted)
        assert [key for key, value in launched.items() if not torch.equal(value, captured[key])] == []


@pytest.mark.parametrize("name", ["dec", "dcn", "dkm", "dekm"])
def test_captured_steps_see_what_a_reset_put_there(name: str, digits: ImageSet) -> None:
    reset = "cluster.reset={interval: 1, subsample: 100, initialise: {redos: 1}}"
    outcomes = []
    for capture in ("true", "false"):
        with pretend() as (_, processes):
            settings = [reset, f"runtime.capture={capture}"]
            outcomes.append(numbers(trained(name, digits, processes, settings=settings)))
    assert all(torch.equal(value, outcomes[0][key]) for key, value in outcomes[1].items())


@pytest.mark.parametrize("name", ["pace", "scan", "temi"])
def test_captured_steps_follow_the_sizes_of_a_learned_prior(name: str, digits: ImageSet) -> None:
    learned = ["cluster.prior=learned", *(() if name == "temi" else ["cluster.prior_momentum=0.5"])]
    outcomes = []
    for capture in ("true", "false"):
        with pretend() as (accelerator, processes):
            settings = [*learned, f"runtime.capture={capture}"]
            outcomes.append(numbers(trained(name, digits, processes, settings=settings)))
            assert (accelerator.captured >= 1) == (capture == "true")
    assert all(torch.equal(value, outcomes[0][key]) for key, value in outcomes[1].items())


def test_it_computes_what_the_cpu_does(digits: ImageSet) -> None:
    """But for rounding. No noise here: devices draw it by generators of their own."""
    with pretend() as (_, processes):
        there = trained("idec", digits, processes)
    here = trained("idec", digits, launch(config_of("idec").runtime))
    losses = [[row["loss"] for row in fitted.checkpoint.loop.history if "loss" in row] for fitted in (here, there)]
    assert len(losses[0]) == 4
    assert losses[1] == pytest.approx(losses[0], rel=1e-3)


def test_resumed_there_it_ends_with_the_same_bits(digits: ImageSet) -> None:
    saved: list[Checkpoint] = []
    settings = ["runtime.checkpoint_seconds=0", "pretrain.noise=0.2", "cluster.tol=0"]
    with pretend() as (_, processes):
        whole = trained("dec", digits, processes, settings=settings, save=lambda c: saved.append(copy.deepcopy(c)))
    middle = [c for c in saved if c.loop.batch and c.optimiser is not None]
    assert {c.loop.phase for c in middle} == {0, 2}
    for earlier in (middle[len(middle) // 4], middle[-2]):
        with pretend() as (_, processes):
            again = trained("dec", digits, processes, settings=settings, earlier=copy.deepcopy(earlier))
        assert all(torch.equal(value, numbers(again)[key]) for key, value in numbers(whole).items())


def test_a_broken_loss_is_named_with_its_step_though_it_is_read_later(digits: ImageSet) -> None:
    forward = ReconstructionObjective.forward
    calls: list[int] = []

    def broken(objective: ReconstructionObjective, batch: Any) -> dict[str, Tensor]:
        calls.append(1)
        losses = forward(objective, batch)
        return {"loss": losses["loss"] / 0} if len(calls) == 4 else losses

    with pretend() as (_, processes), pytest.MonkeyPatch.context() as patch:
        patch.setattr(ReconstructionObjective, "forward", broken)
        with pytest.raises(TrainingError, match=r"phase pretrain, step 3 \(epoch 1\): loss is inf"):
            trained("dec", digits, processes, settings=["runtime.capture=false"])


def test_a_step_that_waits_is_not_captured_and_says_so(digits: ImageSet, capsys: pytest.CaptureFixture[str]) -> None:
    from engine.progress import Display

    original = Steps._step

    def waiting(steps: Steps, batch: Any, *rest: Any) -> Tensor:
        losses = original(steps, batch, *rest)
        float(losses[0])
        return losses

    with pretend() as (accelerator, processes), pytest.MonkeyPatch.context() as patch:
        patch.setattr(Steps, "_step", waiting)
        trained("dec", digits, processes, display=Display())
        assert accelerator.captured == 0
    said = capsys.readouterr().err
    assert said.count("pretrain: its steps are launched one by one, since they cannot be captured") == 1


def test_the_images_live_there_and_methods_pass_over_them_there(digits: ImageSet) -> None:
    with pretend() as (accelerator, processes):
        kept = processes.keep(digits.images)
        assert kept.resident is not None
        assert kept.resident.device == DEVICE
        before = accelerator.waits["a copy to the device from pageable memory"]
        processes.map(lambda part: part.float().flatten(1), digits.images)
        assert accelerator.waits["a copy to the device from pageable memory"] == before


def test_batches_are_gathered_ahead_of_use_and_in_any_order() -> None:
    """A resumed epoch begins in its middle."""
    made: list[int] = []

    def make(number: int) -> Tensor:
        made.append(number)
        return torch.tensor(10 * number)

    ahead = Ahead(make, 4)
    assert [int(ahead.take(number)) for number in (2, 3)] == [20, 30]
    assert made == [2, 3]  # nothing beyond the last
    assert int(ahead.take(0)) == 0
    assert int(ahead.take(1)) == 10
    assert made[:4] == [2, 3, 0, 1]  # the second of them while the first was used
