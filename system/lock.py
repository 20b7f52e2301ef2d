"""A lock on a file, which the system releases when its holder dies."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

HAS_LOCKS = os.name == "posix"  # elsewhere two runs at once are the user's own care
if HAS_LOCKS:
    import fcntl


@contextmanager
def locked(path: Path, wait: Callable[[], bool]) -> Iterator[bool]:
    """Hold the lock `path` within the block; yields whether it is held.

    Args:
        path: the lock's file, made if need be, with its folder.
        wait: called while another process holds it; it pauses, and returns False to give up.

    Raises:
        OSError: when the file cannot be made.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        while not (held := _try(descriptor)):
            if not wait():
                break
        yield held
    finally:
        os.close(descriptor)  # which releases it


def _try(descriptor: int) -> bool:
    if not HAS_LOCKS:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
