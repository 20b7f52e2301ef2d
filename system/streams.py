"""Output that gets out, whatever the terminal's encoding: of a character that it lacks, something that can be read."""

from __future__ import annotations

import codecs
import io
import os
import sys
from pathlib import Path
from typing import IO

from rich.console import Console

from system.names import printable, stand_in

READABLE = "deep-clustering-readable"
"""The name of our way with characters that an encoding lacks, beside Python's "strict", "replace" and so on."""


def take_any_text() -> None:
    """From here on stdout and stderr print whatever text there is.

    In UTF-8 it comes out as it is. Where the encoding lacks a character (ASCII: ± → …) its `stand_in` is printed.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # None without a terminal, others in notebooks
            stream.reconfigure(errors=READABLE)


def as_printed(text: str) -> str:
    """`text` in the characters that stdout's encoding has: what is laid out in columns must know their number."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    return text.encode(encoding, READABLE).decode(encoding)


def print_path(path: Path) -> None:
    """Print `path` on a line of stdout, byte for byte as the system knows it: for scripts that open the file."""
    content = os.fsencode(path)
    if not isinstance(sys.stdout, io.TextIOWrapper):
        print(path)
        return
    sys.stdout.flush()
    sys.stdout.buffer.write(content + os.linesep.encode())
    sys.stdout.buffer.flush()


def _readable(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(map(stand_in, error.object[error.start : error.end])), error.end


codecs.register_error(READABLE, _readable)


def stderr_console(quiet: bool = False) -> Console:
    """Prints texts on stderr as they are: brackets are no markup, :cat: no emoji, numbers have no colours."""
    return Console(stderr=True, highlight=False, markup=False, emoji=False, quiet=quiet)


def plain_console(file: IO[str]) -> Console:
    """Prints texts into `file` as they are, without colours, also where this process is a notebook's."""
    return Console(file=file, force_jupyter=False, force_terminal=False, color_system=None, highlight=False, width=100)


def say(text: str, console: Console | None = None) -> None:
    """Tell the user `text`, without line breaks of its own: copied paths stay whole. Names in it may be any."""
    shown = printable(text, keep="\n")
    (console or stderr_console()).print(shown, soft_wrap=True, markup=False, emoji=False)
