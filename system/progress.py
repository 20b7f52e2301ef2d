"""Progress of a count on stderr: a bar on a terminal, elsewhere a line every few seconds."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from system.streams import say, stderr_console

AFTER = 1.0
"""Seconds before which nothing is shown: what is done by then needs no progress."""
EVERY = 5.0
"""Seconds between two lines."""


class Advance(Protocol):
    """Told how many are done by now."""

    def __call__(self, done: int) -> None: ...


@contextmanager
def counted(what: str, total: int) -> Iterator[Advance]:
    """Within the block, what is yielded shows how many of `total` are done, as "`what` 1,200 of 8,121"."""
    console = stderr_console(quiet=_is_helper())
    began = time.monotonic()
    if console.is_terminal and not console.quiet:
        yield from _bar(what, total, began)
        return
    told = began + AFTER - EVERY

    def line(done: int) -> None:
        nonlocal told
        now = time.monotonic()
        if now - told >= EVERY and (done < total or told > began):
            told = now
            say(f"{what} {done:,} of {total:,}", console)

    yield line


def _bar(what: str, total: int, began: float) -> Iterator[Advance]:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = TextColumn("{task.description}"), BarColumn(bar_width=20), MofNCompleteColumn(), TimeRemainingColumn()
    bars = Progress(*columns, console=stderr_console(), transient=True)
    task = bars.add_task(what, total=total)
    shown = False

    def move(done: int) -> None:
        nonlocal shown
        if not shown and time.monotonic() - began >= AFTER:
            bars.start()
            shown = True
        bars.update(task, completed=done)

    try:
        yield move
    finally:
        if shown:
            bars.stop()


def _is_helper() -> bool:
    """Whether this is one of several processes, and not the first."""
    return int(os.environ.get("RANK") or os.environ.get("LOCAL_RANK") or 0) > 0
