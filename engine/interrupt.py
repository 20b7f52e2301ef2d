"""Ctrl-C and SIGTERM as a wish to stop at the next step, not in the middle of one; within a fit, at once."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType

from engine.errors import Interrupted

AGAIN = 0.02
"""Seconds until a wish that came while a library cleaned up is made once more."""


class StopWish:
    """While entered, the first SIGINT or SIGTERM sets `wished`; a second SIGINT stops at once."""

    def __init__(self) -> None:
        self.wished = False
        self._at_once = False
        self._before: dict[signal.Signals, signal._HANDLER] = {}

    def __enter__(self) -> StopWish:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """Within the block a wish raises `Interrupted` where it comes: for work that leaves nothing half done."""
        before, self._at_once = sys.unraisablehook, True
        repeats: list[threading.Timer] = []

        def swallowed(unraisable: sys.UnraisableHookArgs) -> None:
            """Where a library cleans up, Python prints and forgets what is raised: the wish is made once more."""
            if not isinstance(unraisable.exc_value, Interrupted | KeyboardInterrupt):
                before(unraisable)
            elif self._at_once:
                repeats.append(threading.Timer(AGAIN, os.kill, [os.getpid(), signal.SIGTERM]))
                repeats[-1].start()

        sys.unraisablehook = swallowed
        try:
            yield
        finally:
            sys.unraisablehook, self._at_once = before, False
            for repeat in repeats:  # afterwards a signal may end the process
                repeat.cancel()
                repeat.join()

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.wished and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.wished = True
        if self._at_once:
            raise Interrupted
