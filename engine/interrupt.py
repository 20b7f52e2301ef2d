"""Ctrl-C and SIGTERM as a wish to stop at the next step, not in the middle of one; within a fit, at once."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType

from engine.errors import Interrupted
from system.interrupts import heard


class StopWish:
    """While entered, the first SIGINT or SIGTERM sets `wished`; a second SIGINT stops at once.

    Signals reach a program's main thread alone: elsewhere nobody's wish is heard.
    """

    def __init__(self) -> None:
        self.wished = False
        self._at_once = False
        self._before: dict[signal.Signals, signal._HANDLER] = {}

    def __enter__(self) -> StopWish:
        heard_here = threading.current_thread() is threading.main_thread()
        for number in (signal.SIGINT, signal.SIGTERM) if heard_here else ():
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
        self._at_once = True
        try:
            with heard((Interrupted, KeyboardInterrupt), signal.SIGTERM):
                yield
        finally:
            self._at_once = False

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.wished and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.wished = True
        if self._at_once:
            raise Interrupted
