"""The output of a notebook's cell as one text: lines that stay and, below them, one that changes in its place."""

from __future__ import annotations

import io
import time
from importlib import import_module
from typing import Any

EVERY = 0.2
"""Seconds between two states of the line that changes: every one is a message to the browser."""


class NotebookText(io.StringIO):
    """A file whose text a notebook shows. It needs no widgets, and a saved notebook holds how it ended."""

    def __init__(self) -> None:
        super().__init__()
        self._lines, self._changing = "", ""
        self._handle: Any = None
        self._shown_at = 0.0

    def write(self, text: str) -> int:
        """Add to the lines that stay."""
        if text:
            self._lines += text
            self._show()
        return len(text)

    def change(self, line: str) -> None:
        """Have `line` below the others in place of the last one; at times it is passed over for the next."""
        self._changing = line
        if time.monotonic() - self._shown_at >= EVERY:
            self._show()

    def keep(self) -> None:
        """The line that changes stays as it is."""
        line, self._changing = self._changing, ""
        if line:
            self.write(f"{line}\n")

    def _show(self) -> None:
        shown = {"text/plain": (self._lines + self._changing).rstrip("\n")}
        if self._handle is None:
            self._handle = import_module("IPython.display").display(shown, raw=True, display_id=True)
        else:
            self._handle.update(shown, raw=True)
        self._shown_at = time.monotonic()
