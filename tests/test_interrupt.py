"""Ctrl-C while a library works: it stops there, wherever the signal comes."""

from __future__ import annotations

import os
import signal
import time

import pytest

from engine.errors import Interrupted
from engine.interrupt import StopWish


class CleansUp:
    """As a library's objects do: what is raised there Python prints and forgets."""

    def __del__(self) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        for _ in range(100):
            time.sleep(0)


def test_a_wish_that_comes_while_a_library_cleans_up_is_not_lost(capfd: pytest.CaptureFixture[str]) -> None:
    def work() -> None:
        with wish.at_once():
            CleansUp()
            time.sleep(20)

    begin = time.monotonic()
    with StopWish() as wish, pytest.raises(Interrupted):
        work()
    assert time.monotonic() - begin < 10
    assert wish.wished
    assert capfd.readouterr().err == ""


def test_other_errors_there_are_said_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    class Fails:
        def __del__(self) -> None:
            raise ValueError("lost")

    said: list[str] = []
    monkeypatch.setattr("sys.unraisablehook", lambda unraisable: said.append(str(unraisable.exc_value)))
    with StopWish() as wish, wish.at_once():
        Fails()
    assert said == ["lost"]


def test_a_wish_made_again_too_late_changes_nothing() -> None:
    with StopWish() as wish:
        with wish.at_once():
            CleansUp()
        assert wish.wished
    time.sleep(0.1)  # by default the signal would end the process
