"""Two processes or more as torchrun starts them, without the seconds of their imports."""

from __future__ import annotations

import os
import socket
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from tests.forked import saying_into, start

TIME_LIMIT = 200.0
"""Seconds. A collective that one process calls alone would wait for ever."""


class Ended(NamedTuple):
    """How processes ended, in their order.

    Attributes:
        codes: their exit codes; None for one that was still there at the time limit.
        stdout: what each wrote.
        stderr: what each wrote.
    """

    codes: tuple[int | None, ...]
    stdout: tuple[str, ...]
    stderr: tuple[str, ...]


def in_two(folder: Path, function: Callable[..., object], *arguments: Any, limit: float = TIME_LIMIT) -> Ended:
    """`function(*arguments)` in two processes that know of each other; see `in_several`."""
    return in_several(2, folder, function, *arguments, limit=limit)


def in_several(
    count: int, folder: Path, function: Callable[..., object], *arguments: Any, limit: float = TIME_LIMIT
) -> Ended:
    """`function(*arguments)` in `count` processes that know of each other.

    Args:
        count: of processes.
        folder: for what they write.
        function: of a module that can be imported.
        arguments: of the function.
        limit: after so many seconds all are killed. So are the others when the first was.
    """
    port = free_port()
    processes = [start(_enter, rank, count, port, str(folder), function, arguments) for rank in range(count)]
    first, *others = processes
    first.join(limit)
    first_was_killed = first.exitcode is None or first.exitcode < 0
    for other in others:
        other.join(0.0 if first_was_killed else limit)
    codes = tuple(process.exitcode for process in processes)
    for process in processes:
        process.kill()
        process.join()
    stdout, stderr = (
        tuple((folder / f"{name}-{rank}").read_text() for rank in range(count)) for name in ("stdout", "stderr")
    )
    return Ended(codes, stdout, stderr)


def as_torchrun(rank: int, port: int, count: int = 2) -> dict[str, str]:
    """What torchrun tells one of `count` processes, in its environment."""
    return {
        "RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(count), "LOCAL_WORLD_SIZE": str(count),
        "GROUP_RANK": "0", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "TORCHELASTIC_RUN_ID": "test",
    }  # fmt: skip


def _enter(
    rank: int, count: int, port: int, folder: str, function: Callable[..., object], arguments: tuple[Any, ...]
) -> None:
    os.environ |= as_torchrun(rank, port, count)
    with saying_into(folder, f"-{rank}"):
        try:
            function(*arguments)
        except SystemExit:
            raise
        except BaseException:
            traceback.print_exc()
            raise SystemExit(1) from None


def free_port() -> int:
    """A port that nobody listens at."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
