"""Work beside the training: by one thread, in its order."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

MOST = 32
"""Jobs that may wait. Each holds some images, so their number bounds the memory."""


class Background:
    """Does jobs one after the other, while whoever asks for them goes on.

    Jobs draw from no global generator: the training draws from these at the same time.

    Args:
        most: jobs that may wait; what is asked for beyond is skipped.

    Attributes:
        skipped: how many were.
    """

    def __init__(self, most: int = MOST) -> None:
        self.skipped = 0
        self._most = most
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="pictures")
        self._asked: list[Future[None]] = []

    def ask(self, job: Callable[[], None]) -> None:
        """Have `job` done when those before it are; it keeps its errors to itself."""
        self._asked = [job for job in self._asked if not job.done()]
        if len(self._asked) >= self._most:
            self.skipped += 1
        else:
            self._asked.append(self._thread.submit(job))

    def finish(self) -> None:
        """Wait for all. Nothing can be asked for afterwards; calling it twice does no harm."""
        self._thread.shutdown(wait=True)
