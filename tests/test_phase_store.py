"""Sharing of finished phases between runs: what is addressed how, and that nothing of it can harm a run."""

from __future__ import annotations

import copy
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from configs.schema import RunConfig
from engine import phase_store
from engine.checkpoint import LoopState
from engine.phase_store import PhaseStore, phase_keys
from engine.processes import launch
from engine.progress import Display
from tests.toy import CONFIG, IMAGES, Toy, loop, run


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


def keys(method: Toy, config: RunConfig = CONFIG, fingerprint: str = "f", processes: int = 1) -> list[str]:
    phases = method.phases(IMAGES, launch(CONFIG.runtime))
    return phase_keys(phases, config, fingerprint, torch.device("cpu"), processes)


def test_a_phase_is_addressed_by_what_it_depends_on() -> None:
    plain = keys(Toy())
    assert len(set(plain)) == 3
    assert keys(Toy()) == plain
    assert keys(Toy(), fingerprint="g")[0] != plain[0]
    assert keys(Toy(), processes=2)[0] != plain[0]
    assert keys(Toy(), CONFIG.model_copy(update={"seed": 1}))[0] != plain[0]
    other_weights = Toy()
    other_weights.second.weight.data.fill_(1.0)
    assert [a == b for a, b in zip(plain, keys(other_weights), strict=True)] == [True, True, False]


def test_a_change_of_code_changes_the_address(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for place in phase_store.SOURCES:
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        source = phase_store.ROOT / place
        if source.is_dir():
            shutil.copytree(source, tmp_path / place)
        else:
            shutil.copy(source, tmp_path / place)
    before = phase_store.code_hash()
    monkeypatch.setattr(phase_store, "ROOT", tmp_path)
    phase_store.code_hash.cache_clear()
    assert phase_store.code_hash() == before
    with (tmp_path / "models" / "conv.py").open("a") as file:
        file.write("# changed")
    phase_store.code_hash.cache_clear()
    assert phase_store.code_hash() != before
    phase_store.code_hash.cache_clear()


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
