"""How long a piece of work takes, by the clock and on all threads."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple, TypeVar

T = TypeVar("T")


class Spent(NamedTuple):
    """Seconds by the clock, and of all threads."""

    wall: float
    cpu: float

    def __str__(self) -> str:
        return f"{self.wall:.1f} | {self.cpu:.1f}"


def timed(work: Callable[[], T]) -> tuple[Spent, T]:
    """How long it took, and what came of it."""
    wall, cpu = time.perf_counter(), time.process_time()
    outcome = work()
    return Spent(time.perf_counter() - wall, time.process_time() - cpu), outcome
