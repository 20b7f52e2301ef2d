"""Processes that begin with all that a run imports: forks of one that has imported it, which takes seconds."""

from __future__ import annotations

import contextlib
import io
import multiprocessing
import multiprocessing.process
import os
import runpy
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

from tests.runs import ROOT, Called

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["tests.imported"])


def start(function: Callable[..., object], *arguments: Any) -> multiprocessing.process.BaseProcess:
    """`function(*arguments)` begins in a process of its own, as if it had just been started.

    Args:
        function: of a module that can be imported.
        arguments: of the function.
    """
    process = CONTEXT.Process(target=_enter, args=(function, arguments))
    process.start()
    return process


def _enter(function: Callable[..., object], arguments: tuple[Any, ...]) -> None:
    import torch

    os.environ |= {"OMP_NUM_THREADS": "1", "COLUMNS": "200"}
    torch.set_num_threads(1)
    function(*arguments)


def answer(function: Callable[..., Any], *arguments: Any) -> Any:
    """What `function(*arguments)` returns in a process of its own."""
    receiver, sender = CONTEXT.Pipe(duplex=False)
    with contextlib.closing(receiver), contextlib.closing(sender):
        process = start(_send, sender, function, arguments)
        sender.close()
        found = receiver.recv()
        process.join()
    return found


def _send(sender: Any, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    sender.send(function(*arguments))


def command(folder: Path, line: list[str], words: str = "", wish: int = signal.SIGKILL, limit: float = 120) -> Called:
    """A script of this project in a process of its own.

    Args:
        folder: for what it says.
        line: the command line, Python first.
        words: when it has said them on stderr, it sends itself a signal.
        wish: the signal.
        limit: seconds, after which it is killed.
    """
    process = start(_command, str(folder), line, words, wish)
    process.join(limit)
    process.kill()
    process.join()
    assert process.exitcode is not None
    return Called(process.exitcode, *((folder / name).read_text("utf-8") for name in ("stdout", "stderr")))


def _command(folder: str, line: list[str], words: str, wish: int) -> None:
    with saying_into(folder):
        run_script(line, words, wish)


@contextlib.contextmanager
def saying_into(folder: str, ending: str = "") -> Iterator[None]:
    """Within the block what this process says goes into the files stdout and stderr of the folder."""
    with (
        open(Path(folder) / f"stdout{ending}", "w", buffering=1, encoding="utf-8") as sys.stdout,
        open(Path(folder) / f"stderr{ending}", "w", buffering=1, encoding="utf-8") as sys.stderr,
    ):
        yield


def run_script(line: list[str], words: str = "", wish: int = signal.SIGKILL) -> None:
    """In this process, what Python does at the command line; `words` and `wish` as for `command`."""
    if words:
        sys.stderr = Listening(cast(io.TextIOWrapper, sys.stderr), words, wish)
    sys.argv = line[1:]
    runpy.run_path(str(ROOT / line[1]), run_name="__main__")


class Listening(io.TextIOWrapper):
    """A stderr that sends its process the signal `wish` when it has said `words` for the first time."""

    def __init__(self, stream: io.TextIOWrapper, words: str, wish: int) -> None:
        super().__init__(stream.buffer, encoding="utf-8")
        self.stream = stream  # which would close the buffer when nobody holds it
        self.words = words
        self.wish = wish

    def write(self, text: str) -> int:
        written = super().write(text)
        self.flush()
        if self.words and self.words in text:
            self.words = ""
            os.kill(os.getpid(), self.wish)
        return written
