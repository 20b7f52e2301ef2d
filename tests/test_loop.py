"""The loop with a toy method: order of events, stopping, NaN, dying clusters, interrupt and resume."""

from __future__ import annotations

import copy
import dataclasses
import os
import signal
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import engine.steps
from configs.schema import OptimiserSettings, RuntimeSettings
from engine.checkpoint import LoopState
from engine.errors import Interrupted, TrainingError, UsageError
from engine.optimisers import build_optimiser, learning_rate, set_learning_rate
from engine.progress import Display
from engine.randomness import epoch_order
from parts.phases import GradientPhase
from tests.toy import CONFIG, IMAGES, Recorder, Toy, ToyObjective, loop, run


def test_every_epoch_sees_every_image_once_but_for_the_ragged_end() -> None:
    method = Toy()
    run(method)
    assert [len(batch) for batch in method.first.seen] == [8] * 12  # 50 images: 6 batches of 8 an epoch
    for epoch in range(2):
        order = [i for batch in method.first.seen[6 * epoch : 6 * epoch + 6] for i in batch]
        assert order == epoch_order(50, 0, "pretrain", epoch)[:48].tolist()
        assert len(set(order)) == 48
    assert method.first.seen[:6] != method.first.seen[6:]


def test_a_batch_larger_than_the_data_is_the_data() -> None:
    method = Toy(batch_size=64)
    run(method)
    assert [sorted(batch) for batch in method.first.seen] == [list(range(50))] * 2


def test_observers_are_told_in_order() -> None:
    recorder = Recorder()
    made = run(Toy(), observers=[recorder])
    kinds = [event for event in recorder.events if event[0] in ("epoch", "phase")]
    assert kinds == [
        ("epoch", "pretrain", 1, 6),
        ("epoch", "pretrain", 2, 12),
        ("phase", "pretrain", 12),
        ("phase", "initialise", 12),
        ("epoch", "cluster", 1, 18),
        ("epoch", "cluster", 2, 24),
        ("epoch", "cluster", 3, 30),
        ("phase", "cluster", 30),
    ]
    steps = [event[1] for event in recorder.events if event[0] == "refreshed"]
    assert steps == [12, 16, 20, 24, 28]
    assert set(made.state.seconds) == {"pretrain", "initialise", "cluster"}


def test_tol_counts_the_changed_share_and_stops_below_it() -> None:
    base = torch.zeros(50, dtype=torch.int64)
    base[:25] = 1
    ten, one = base.clone(), base.clone()
    ten[:5] = 2  # 10 %
    one[:5], one[0] = 2, 0  # 2 % from `ten`
    recorder = Recorder()
    made = run(Toy([base, ten, one], tol=0.05), observers=[recorder])
    changed = [v["cluster/changed"] for kind, _, v in _scalars(recorder) if "cluster/changed" in v]
    assert changed == pytest.approx([0.1, 0.02])
    assert made.state.global_step == 12 + 8
    assert made.state.history[-1]["changed"] == pytest.approx(0.02)


def test_the_first_refresh_never_stops() -> None:
    same = torch.zeros(50, dtype=torch.int64)
    made = run(Toy([same, same], tol=0.05))
    assert made.state.global_step == 12 + 4


def _scalars(recorder: Recorder) -> list[tuple[str, int, dict[str, float]]]:
    return [event for event in recorder.events if event[0] == "scalars"]  # type: ignore[misc]


def test_a_loss_that_is_not_finite_stops_with_its_name_and_step() -> None:
    method = Toy(break_at=7)
    before: list[Tensor] = []
    method.second.register_forward_pre_hook(lambda *_: before.append(method.second.weight.detach().clone()))
    with pytest.raises(TrainingError, match=r"phase cluster, step 7 \(epoch 2\): toy is inf.*learning_rate"):
        run(method)
    assert torch.equal(method.second.weight, before[-1])  # the broken step was not taken
    assert bool(method.second.weight.isfinite().all())


def test_dying_clusters_are_reported_once(capsys: pytest.CaptureFixture[str]) -> None:
    alive = torch.arange(50) % 3
    dying = torch.zeros(50, dtype=torch.int64)
    dying[0] = 1
    made = run(Toy([alive, dying, dying, alive, dying]), display=Display())
    notices = [row["notice"] for row in made.state.history if "notice" in row]
    assert [notice.split(" (")[0] for notice in notices] == [
        "collapsing: cluster 2 of 3 without images; cluster 0 holds 98.0% of the images"
    ] * 2
    assert capsys.readouterr().err.count("cluster 2 of 3 without images") == 2


@pytest.mark.parametrize("stop_at", [1, 5, 6, 11, 12, 13, 16, 17, 23, 29])
def test_interrupted_at_any_step_and_resumed_it_ends_with_the_same_bits(stop_at: int) -> None:
    whole = Toy()
    expected = run(whole)

    saved: list[tuple[LoopState, dict[str, Any], dict[str, Any] | None, Tensor]] = []

    def save(state: LoopState, optimiser: Any) -> None:
        inner = None if optimiser is None else copy.deepcopy(optimiser.state_dict())
        saved.append((copy.deepcopy(state), copy.deepcopy(method.state_dict()), inner, torch.get_rng_state()))

    method = Toy()
    calls = 0

    def interrupt(*_: Any) -> None:
        nonlocal calls
        calls += 1
        if calls == stop_at:
            os.kill(os.getpid(), signal.SIGINT)

    for objective in (method.first, method.second):
        objective.register_forward_pre_hook(interrupt)
    with pytest.raises(Interrupted):
        run(method, save=save)
    state, weights, optimiser, generator = saved[-1]
    assert state.global_step == stop_at

    resumed = Toy()
    resumed.load_state_dict(weights)
    torch.set_rng_state(generator)
    made = loop(resumed, state=state)
    made.run(resumed.phases(IMAGES, made.processes), optimiser)
    for name, tensor in whole.state_dict().items():
        assert torch.equal(tensor, resumed.state_dict()[name]), name
    dropped = ("images_per_second", "seconds")
    assert [{k: v for k, v in row.items() if k not in dropped} for row in made.state.history] == [
        {k: v for k, v in row.items() if k not in dropped} for row in expected.state.history
    ]


def test_an_interrupt_within_a_fit_ends_it_and_the_run_goes_on_there() -> None:
    method, saved = Toy(), []
    made = loop(method, save=lambda state, optimiser: saved.append(state.phase))
    phases = list(method.phases(IMAGES, made.processes))

    def patient() -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        raise AssertionError("the fit went on")

    phases[1] = dataclasses.replace(phases[1], fit=patient)
    with pytest.raises(Interrupted):
        made.run(phases)
    assert saved[-1] == made.state.phase == 1
    made.run(method.phases(IMAGES, made.processes))
    assert made.state.phase == 3


def test_a_second_interrupt_stops_at_once() -> None:
    method = Toy()
    before = signal.getsignal(signal.SIGINT)  # Python's own, or none where a shell started the tests in the background

    def twice(*_: Any) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)

    method.first.register_forward_pre_hook(twice)
    with pytest.raises(KeyboardInterrupt):
        run(method)
    assert signal.getsignal(signal.SIGINT) is before


def test_weights_that_are_not_finite_stop_before_they_are_saved() -> None:
    method = Toy()
    saved: list[bool] = []

    def poison(*_: Any) -> None:
        # A gradient may be NaN where the loss is finite: sqrt at 0.
        method.first.weight.register_hook(lambda gradient: gradient * float("nan"))

    def save(*_: Any) -> None:
        saved.append(bool(method.first.weight.isfinite().all()))

    method.first.register_forward_pre_hook(poison)
    slow = CONFIG.model_copy(update={"runtime": RuntimeSettings(device="cpu", checkpoint_seconds=3600)})
    made = loop(method, save=save, config=slow)
    first, *rest = method.phases(IMAGES, made.processes)
    assert isinstance(first, GradientPhase)
    # The second step's loss is NaN already: one step an epoch shows the weights' own check.
    phases = [dataclasses.replace(first, batch_size=50), *rest]
    with pytest.raises(TrainingError, match="a weight is NaN or infinite although every loss was finite"):
        made.run(phases)
    assert all(saved)


def test_a_batch_that_processes_cannot_share_is_refused() -> None:
    made = loop(Toy(batch_size=7))
    made.processes.fabric._strategy = type("Two", (), {"world_size": 2})()  # two processes, without starting them
    with pytest.raises(UsageError, match=r"pretrain\.batch_size is 7, which 2 processes cannot share"):
        made._batch_size(Toy(batch_size=7).phases(IMAGES, made.processes)[0])  # type: ignore[arg-type]


def test_schedules_by_hand() -> None:
    constant, cosine, cycle = (
        OptimiserSettings(learning_rate=2.0, schedule=name)  # type: ignore[arg-type]
        for name in ("constant", "cosine", "one-cycle")
    )
    assert [learning_rate(constant, step, 5, 2) for step in (0, 9)] == [2.0, 2.0]
    assert [learning_rate(cosine, step, 5, 2) for step in (0, 5)] == pytest.approx([2.0, 1.0])
    assert [learning_rate(cycle, step, 5, 2) for step in (0, 1, 2, 6)] == pytest.approx([0.08, 1.04, 2.0, 1.0])


def test_a_phase_runs_through_its_schedule_once_a_cycle(monkeypatch: pytest.MonkeyPatch) -> None:
    rates: list[float] = []
    monkeypatch.setattr(engine.steps, "set_learning_rate", lambda optimiser, rate: rates.append(rate))
    method = Toy()
    phase = method.phases(IMAGES, loop(method).processes)[0]
    assert isinstance(phase, GradientPhase)
    cosine = OptimiserSettings(learning_rate=2.0, schedule="cosine")
    made = loop(method, keys=["pretrain"])
    made.run([dataclasses.replace(phase, optimiser=cosine, epochs=4, cycles=2)])
    assert rates == [learning_rate(cosine, step, 6, 2) for step in range(12)] * 2  # 6 steps an epoch, 2 epochs a cycle


def test_the_step_schedule_decays_after_whole_epochs() -> None:
    """VaDE's: after every ten epochs of five steps nine tenths of the rate."""
    decaying = OptimiserSettings(learning_rate=2.0, schedule="step", decay=0.9, decay_epochs=10)
    assert [learning_rate(decaying, step, 5, 99) for step in (0, 49, 50, 99, 100)] == pytest.approx(
        [2.0, 2.0, 1.8, 1.8, 1.62]
    )


@pytest.mark.parametrize(("name", "kind"), [("adam", "Adam"), ("adamw", "AdamW"), ("sgd", "SGD")])
def test_optimisers_get_their_settings(name: str, kind: str) -> None:
    settings = OptimiserSettings(name=name, learning_rate=0.3, weight_decay=0.1)  # type: ignore[arg-type]
    objective = ToyObjective(None)
    objective.register_parameter("frozen", nn.Parameter(torch.zeros(1), requires_grad=False))
    optimiser = build_optimiser(objective, settings)
    assert type(optimiser).__name__ == kind
    (group,) = optimiser.param_groups
    assert (group["lr"], group["weight_decay"], len(group["params"])) == (0.3, 0.1, 1)


def test_parameters_of_another_factor_have_their_own_rate() -> None:
    """As VaDE's mixture has, beside its network."""
    objective = ToyObjective(None)
    objective.head = nn.Linear(1, 1)
    objective.rate_factors = {"head": 0.5}
    optimiser = build_optimiser(objective, OptimiserSettings(learning_rate=0.3))
    set_learning_rate(optimiser, 0.2)
    rates = {id(p): group["lr"] for group in optimiser.param_groups for p in group["params"]}
    assert rates[id(objective.weight)] == pytest.approx(0.2)
    assert rates[id(objective.head.weight)] == rates[id(objective.head.bias)] == pytest.approx(0.1)


def test_after_step_sees_the_weights_that_the_step_made() -> None:
    method = Toy()
    told: list[tuple[list[int], Tensor]] = []
    before: list[Tensor] = []
    method.first.register_forward_pre_hook(lambda *_: before.append(method.first.weight.detach().clone()))
    method.first.after_step = lambda batch: told.append(  # type: ignore[method-assign]
        (batch.indices.tolist(), method.first.weight.clone())
    )
    run(method)
    assert [indices for indices, _ in told] == method.first.seen
    assert not any(weight.requires_grad for _, weight in told)
    # What it saw is what the next step begins with, and not what its own step began with.
    assert all(torch.equal(after, begin) for (_, after), begin in zip(told[:-1], before[1:], strict=True))
    assert not any(torch.equal(after, begin) for (_, after), begin in zip(told, before, strict=True))


def test_a_resume_after_an_epochs_last_step_has_no_speed_of_it() -> None:
    saved: list[tuple[LoopState, dict[str, Any], dict[str, Any]]] = []
    method = Toy()

    def save(state: LoopState, optimiser: Any) -> None:
        if (state.epoch, state.batch) == (1, 6) and optimiser is not None:
            saved.append((copy.deepcopy(state), copy.deepcopy(method.state_dict()), optimiser.state_dict()))

    run(method, save=save)
    state, weights, optimiser = saved[0]  # the second of two epochs of 6 steps, all of them done
    resumed = Toy()
    resumed.load_state_dict(weights)
    made = loop(resumed, state=state)
    made.run(resumed.phases(IMAGES, made.processes), optimiser)
    rows = {(row["phase"], row["epoch"]): row for row in made.state.history if "epoch" in row}
    assert "images_per_second" not in rows["pretrain", 1]
    assert all(row["images_per_second"] > 0 for key, row in rows.items() if key != ("pretrain", 1))
    assert (made.state.images_per_second or 0) > 0
    state.history = [rows["pretrain", 1]]
    assert state.images_per_second is None
