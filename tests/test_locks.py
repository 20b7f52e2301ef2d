"""Locks: one holder at a time, none after its death, and waiting ends as the waiter wishes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from system.lock import locked
from tests.runs import ROOT

HOLD = "import sys, time; from pathlib import Path; from system.lock import locked\n" + (
    "with locked(Path(sys.argv[1]), lambda: False): print('held', flush=True); time.sleep(60)"
)


def test_a_second_holder_waits_until_it_gives_up(tmp_path: Path) -> None:
    asked: list[int] = []

    def wait() -> bool:
        asked.append(1)
        return len(asked) < 3

    path = tmp_path / "new" / "lock"
    with locked(path, lambda: False) as first, locked(path, wait) as second:
        assert first
        assert not second
    assert len(asked) == 3
    with locked(tmp_path / "new" / "lock", lambda: False) as again:
        assert again


def test_a_lock_dies_with_its_holder(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    child = subprocess.Popen([sys.executable, "-c", HOLD, str(path)], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    with child.stdout:
        assert child.stdout.readline() == "held\n"
        with locked(path, lambda: False) as held:
            assert not held
        os.kill(child.pid, signal.SIGKILL)
        child.wait(timeout=30)
    with locked(path, lambda: time.sleep(0.1) is None) as held:
        assert held
