"""Ctrl-C and SIGTERM as a wish to stop at the next step, not in the middle of one."""

from __future__ import annotations

import signal
from types import FrameType, TracebackType


class StopWish:
    """While entered, the first SIGINT or SIGTERM sets `wished`; a second SIGINT stops at once."""

    def __init__(self) -> None:
        self.wished = False
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

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.wished and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.wished = True
