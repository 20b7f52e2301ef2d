"""Ctrl-C that no library swallows."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

AGAIN = 0.02
"""Seconds until a signal that came while a library cleaned up is sent once more."""


@contextmanager
def heard(kinds: tuple[type[BaseException], ...], number: signal.Signals) -> Iterator[None]:
    """Within the block, what a signal raises gets out even where a library cleans up.

    What is raised in an object's `__del__` Python prints as a traceback and forgets, and the work goes on: numba's
    compiler spends much of its time there. The signal is sent once more instead.

    Args:
        kinds: what the signal's handler raises.
        number: the signal.
    """
    before, repeats, within = sys.unraisablehook, list[threading.Timer](), [True]

    def swallowed(unraisable: sys.UnraisableHookArgs) -> None:
        if not isinstance(unraisable.exc_value, kinds):
            before(unraisable)
        elif within:
            repeats.append(threading.Timer(AGAIN, os.kill, [os.getpid(), number]))
            repeats[-1].start()

    sys.unraisablehook = swallowed
    try:
        yield
    finally:
        within.clear()
        sys.unraisablehook = before
        for repeat in repeats:  # after the block the signal may have another meaning
            repeat.cancel()
            repeat.join()
