"""Runs side by side: failures cost nothing else, a stop is passed on, and another command's run is waited for."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from engine import checkpoints_folder
from report.comparison import schedule as scheduling
from report.comparison.plan import Run, plan
from report.comparison.schedule import Schedule
from system.lock import locked
from tests.forked import start

WRITE = "import sys; from pathlib import Path; Path(sys.argv[1]).write_text(sys.argv[2])"


@pytest.fixture(autouse=True)
def _own_checkpoints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoints_folder, "CHECKPOINTS", tmp_path)


def runs(*names: str, seeds: Sequence[int] = (0,)) -> list[Run]:
    return plan(names, seeds, [], {}, "digits")


def python(code: str, *arguments: object) -> list[str]:
    return [sys.executable, "-c", code, *map(str, arguments)]


def use(monkeypatch: pytest.MonkeyPatch, train: str) -> None:
    """Let `train` be the training, in Python, and scoring write an empty score."""
    monkeypatch.setattr(scheduling, "train_command", lambda run, root: python(train, run.checkpoint, "trained"))
    monkeypatch.setattr(scheduling, "score_command", lambda run, split, root: python(WRITE, run.scores(split), "{}"))


def test_what_is_scored_is_not_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, WRITE)
    said: list[str] = []
    Schedule(runs("raw-kmeans", "pca-kmeans"), jobs=2, threads=1, say=said.append).carry_out()
    assert sorted(line.partition("]")[0] for line in said) == ["[1/2", "[2/2"]
    use(monkeypatch, "raise SystemExit(1)")
    said.clear()
    Schedule(runs("raw-kmeans", "pca-kmeans"), jobs=2, threads=1, say=said.append).carry_out()
    assert said == ["2 of 2 runs are done already"]


def test_a_run_that_fails_is_named_with_its_last_words_and_costs_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = "import sys; sys.exit('no such luck') if 'raw' in sys.argv[1] else None; " + WRITE
    use(monkeypatch, broken)
    schedule = Schedule(runs("raw-kmeans", "pca-kmeans"), jobs=1, threads=1, say=lambda text: None)
    schedule.carry_out()
    assert list(schedule.failures) == ["raw-kmeans, seed 0"]
    assert "exit code 1; no such luck" in schedule.failures["raw-kmeans, seed 0"]
    assert "log.txt" in schedule.failures["raw-kmeans, seed 0"]
    assert [run.is_scored("train") for run in schedule.runs] == [False, True]


def test_every_run_has_its_share_of_the_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    use(
        monkeypatch,
        "import os, sys; from pathlib import Path; Path(sys.argv[1]).write_text(os.environ['OMP_NUM_THREADS'])",
    )
    (run,) = made = runs("raw-kmeans")
    Schedule(made, jobs=1, threads=3, say=lambda text: None).carry_out()
    assert run.checkpoint.read_text() == "3"


def test_a_stop_reaches_the_runs_under_way_and_begins_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    patient = (
        "import signal, sys, time; from pathlib import Path; path = Path(sys.argv[1])\n"
        "signal.signal(signal.SIGTERM, lambda *_: (path.write_text('saved'), sys.exit(130)))\n"
        "(path.parent / 'begun').touch(); time.sleep(60)"
    )
    use(monkeypatch, patient)
    first, second = made = runs("raw-kmeans", "pca-kmeans")

    def stop() -> None:
        while not (first.folder / "begun").exists():
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGTERM)

    thread = threading.Thread(target=stop)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        Schedule(made, jobs=1, threads=1, say=lambda text: None).carry_out()
    thread.join()
    assert first.checkpoint.read_text() == "saved"
    assert not second.folder.exists()


def until_it_is_killed(folder: Path) -> None:
    """Two runs, of which the second takes longer than the process lives."""
    checkpoints_folder.CHECKPOINTS = folder
    slow = "import sys, time; time.sleep(2) if 'pca' in sys.argv[1] else None; " + WRITE
    with pytest.MonkeyPatch.context() as patch:
        use(patch, slow)
        Schedule(runs("raw-kmeans", "pca-kmeans"), 1, 1, print).carry_out()


@pytest.mark.forks
def test_a_comparison_that_was_killed_goes_on_with_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = made = runs("raw-kmeans", "pca-kmeans")
    process = start(until_it_is_killed, tmp_path)
    while not (first.is_scored("train") and second.folder.exists()):
        assert process.is_alive()
        time.sleep(0.05)
    process.kill()
    process.join()
    assert not second.is_scored("train")
    use(monkeypatch, WRITE)
    said: list[str] = []
    Schedule(made, jobs=1, threads=1, say=said.append).carry_out()
    assert said[0] == "1 of 2 runs are done already"
    assert second.is_scored("train")


def test_a_run_without_room_for_its_log_is_a_failure_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, WRITE)
    first, second = made = runs("raw-kmeans", "pca-kmeans")
    first.folder.write_text("a file where a folder should be")
    schedule = Schedule(made, jobs=1, threads=1, say=lambda text: None)
    schedule.carry_out()
    assert list(schedule.failures) == [first.name]
    assert str(first.folder) in schedule.failures[first.name]
    assert second.is_scored("train")


def test_a_run_that_another_command_makes_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, WRITE)
    (run,) = made = runs("raw-kmeans")
    said: list[str] = []
    released = threading.Event()

    def hold() -> None:
        with locked(run.lock, lambda: False):
            held.set()
            while not said:
                time.sleep(0.05)
            released.set()

    held = threading.Event()
    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()
    Schedule(made, jobs=1, threads=1, say=said.append).carry_out()
    thread.join()
    assert released.is_set()
    assert "waiting for a command" in said[0]
    assert run.is_scored("train")


def test_a_run_that_another_command_took_in_the_same_moment_is_not_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, WRITE + "; sys.exit('another command trains into it right now')")
    monkeypatch.setattr(Run, "is_trained", lambda run: run.checkpoint.exists())
    (run,) = made = runs("raw-kmeans")
    schedule = Schedule(made, jobs=1, threads=1, say=lambda text: None)
    schedule.carry_out()
    assert not schedule.failures
    assert run.is_scored("train")
