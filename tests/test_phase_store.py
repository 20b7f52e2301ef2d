"""Sharing of finished phases between runs: what is addressed how, and that nothing of it can harm a run."""

from __future__ import annotations

import copy
import os
import signal
from pathlib import Path
from typing import Any

import pytest
import torch

from engine.checkpoint import LoopState
from engine.errors import Interrupted
from engine.phase_store import PhaseStore
from engine.progress import Display
from tests.toy import IMAGES, Toy, loop, run


def test_finished_phases_are_shared_and_end_alike(tmp_path: Path) -> None:
    first = Toy()
    made = run(first, store=PhaseStore(tmp_path))
    assert len(list(tmp_path.glob("*.pt"))) == 2  # pretrain and initialise; the last phase is the run's own
    second = Toy()
    again = run(second, store=PhaseStore(tmp_path))
    assert second.first.seen == []
    assert second.fits == 0
    assert again.state.shared == ["pretrain", "initialise"]
    assert again.state.seconds["pretrain"] == made.state.seconds["pretrain"]
    assert again.state.global_step == made.state.global_step
    assert torch.equal(first.second.weight, second.second.weight)
    assert torch.equal(first.first.weight, second.first.weight)


def test_a_damaged_shared_phase_is_computed_again(tmp_path: Path) -> None:
    run(Toy(), store=PhaseStore(tmp_path))
    for file in tmp_path.glob("*.pt"):
        file.write_bytes(file.read_bytes()[:100])
    method = Toy()
    run(method, store=PhaseStore(tmp_path))
    assert len(method.first.seen) == 12


def test_a_store_that_cannot_be_written_costs_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("in the way")
    made = run(Toy(), store=PhaseStore(tmp_path / "file" / "phases"), display=Display())
    assert made.state.global_step == 30
    assert capsys.readouterr().err.count("is not kept for other runs") == 2


def test_a_resume_takes_over_shared_phases_like_the_run_it_goes_on_with(tmp_path: Path) -> None:
    whole = run(Toy(), store=PhaseStore(tmp_path))
    saved: list[tuple[LoopState, dict[str, Any]]] = []
    method = Toy()

    def save(state: LoopState, _: Any) -> None:
        saved.append((copy.deepcopy(state), copy.deepcopy(method.state_dict())))

    run(method, store=PhaseStore(tmp_path), save=save)
    for state, weights in saved:
        if state.batch:
            continue  # within a phase the optimiser's state is needed too; that is tested above
        resumed = Toy()
        resumed.load_state_dict(weights)
        made = loop(resumed, store=PhaseStore(tmp_path), state=state)
        made.run(resumed.phases(IMAGES, made.processes))
        assert torch.equal(resumed.second.weight, method.second.weight)
        assert made.state.global_step == whole.state.global_step


def interrupted(method: Toy, step: int, keys: list[str]) -> tuple[LoopState, dict[str, Any], dict[str, Any]]:
    """What a run saved that began under `keys` and was interrupted after so many steps: loop, weights, optimiser."""
    saved: list[tuple[LoopState, dict[str, Any], Any]] = []

    def save(state: LoopState, optimiser: Any) -> None:
        saved.append((copy.deepcopy(state), copy.deepcopy(method.state_dict()), optimiser and optimiser.state_dict()))
        if optimiser is not None and state.global_step == step - 1:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(Interrupted):
        run(method, save=save, keys=keys)
    return saved[-1]


OLD, NEW = ["old pretrain", "old initialise", "old cluster"], ["new pretrain", "new initialise", "new cluster"]


@pytest.mark.parametrize(("step", "keys"), [(5, OLD), (15, OLD), (5, [NEW[0], *OLD[1:]]), (15, [*NEW[:2], OLD[2]])])
def test_what_began_under_another_key_is_not_kept_nor_what_stands_on_it(
    tmp_path: Path, step: int, keys: list[str]
) -> None:
    store = PhaseStore(tmp_path)
    began, weights, optimiser = interrupted(Toy(), step, keys)
    phases_begun = 1 if step < 12 else 3  # pretrain has 12 steps, initialise none
    assert began.keys == keys[:phases_begun]
    resumed = Toy()
    resumed.load_state_dict(weights)
    made = loop(resumed, store=store, keys=NEW, state=began)
    made.run(resumed.phases(IMAGES, made.processes), optimiser)
    own = [key for key in NEW[:2] if store.get(key) is not None]
    # What began under its present key, as all before it did, is whole; what was finished before the stop is not here.
    assert own == ([*NEW[:2]] if keys[:phases_begun] == NEW[:phases_begun] and step < 12 else [])
    fresh = Toy()
    run(fresh, store=store, keys=NEW)
    alone = Toy()
    run(alone, keys=NEW)
    assert torch.equal(fresh.first.weight, alone.first.weight)
    assert torch.equal(fresh.second.weight, alone.second.weight)


def test_a_resume_of_a_resume_remembers_where_it_began(tmp_path: Path) -> None:
    store = PhaseStore(tmp_path)
    began, weights, optimiser = interrupted(Toy(), 5, OLD)
    for _ in range(2):  # the second resume finds the state that the first one goes on from
        resumed = Toy()
        resumed.load_state_dict(copy.deepcopy(weights))
        made = loop(resumed, store=store, keys=NEW, state=copy.deepcopy(began))
        made.run(resumed.phases(IMAGES, made.processes), copy.deepcopy(optimiser))
        assert made.state.keys == [OLD[0], *NEW[1:]]
        assert not list(tmp_path.glob("*.pt"))
