"""What a person sees while a run trains: bars on a terminal and in a notebook, one line an epoch in a log."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from system.notebook import NotebookText
from system.streams import plain_console, say, stderr_console

SECONDS = 15.0
"""Between two lines of a log on a fit that counts its parts."""
LINES = 20
"""Epochs of a phase that a log tells of, at most."""


FEW, MANY = 20, 100
"""Steps an epoch, and epochs, from which on a person wonders why there are so many."""


def announced(steps: int, epochs: int, open_ended: bool = False) -> str:
    """What a phase is about to do: "4,680 steps in 20 epochs", or at most as many where it finds its own end."""
    why = ""
    if not open_ended and epochs > MANY and steps < FEW * epochs:
        why = ": a small set is passed over more often, for as many steps as a larger one"
    return f"{'at most ' if open_ended else ''}{steps:,} steps in {epochs:,} epochs{why}"


def readable(value: float) -> str:
    """Four digits: "0.1235", "12,346"."""
    return f"{value:,.0f}" if 1000 <= abs(value) < 1e12 else f"{value:.4g}"


class Display:
    """Progress of the phases, and notices. On stderr, or in the output of a notebook's cell."""

    def __init__(self, console: Console | None = None, quiet: bool = False) -> None:
        self.console = console or stderr_console(quiet)
        self._live = self.console.is_terminal
        self._notebook: NotebookText | None = None
        if self.console.is_jupyter and not self.console.quiet:
            self._notebook = NotebookText()
            self.console = plain_console(self._notebook)
        self._bars: Progress | None = None
        self._task = TaskID(0)
        self._total = 0
        self._begun = self._said = 0.0

    def start(self, phase: str, steps: int | None, done: int = 0, epochs: int = 0, open_ended: bool = False) -> None:
        """Show a phase of `steps` steps in `epochs` (None: a fit of unknown length), of which `done` are done.

        One that is `open_ended` may end long before.
        """
        self.stop()
        self._begun = self._said = time.perf_counter()
        if self._notebook is not None and steps is None:
            self._notebook.change(f"{phase} …")
            return
        if not self._live and self._notebook is None:
            say(f"{phase} …" if steps is None else f"{phase}: {announced(steps, epochs, open_ended)}", self.console)
            return
        self._total = steps or 0
        self._bars = Progress(
            TextColumn("{task.description:<10}"),
            BarColumn(bar_width=20),
            TextColumn("{task.percentage:>3.0f}%"),
            TimeRemainingColumn(compact=True, elapsed_when_finished=True),
            TextColumn("{task.fields[status]}"),
            console=self.console,
        )
        self._task = self._bars.add_task(phase, total=steps, completed=done, status="")
        if self._live:
            self._bars.start()
        self._move(completed=done)

    def advance(self, done: int, loss: float, images_per_second: float) -> None:
        """Move the bar to `done` steps."""
        if self._bars is not None:
            self._move(completed=done, status=f"loss {loss:.4f}  {images_per_second:,.0f} img/s")

    def part(self, done: int, total: int) -> None:
        """Show how much of a fit is done, and the time that is left."""
        now = time.perf_counter()
        if self._bars is not None:
            self._bars.update(self._task, total=total, completed=done)
        elif now - self._said >= SECONDS and done < total:
            self._said = now
            left = (now - self._begun) / done * (total - done)
            say(f"{done:,} of {total:,} images, {left:,.0f} s left", self.console)

    def epoch(self, phase: str, epoch: int, epochs: int, values: Mapping[str, float]) -> None:
        """Say how an epoch ended, or move the bar to its end."""
        if self._bars is not None:
            self._move(completed=self._total * (epoch + 1) / epochs)
        elif epoch + 1 == epochs or epoch % -(-epochs // LINES) == 0:
            shown = "  ".join(f"{name} {readable(value)}" for name, value in values.items())
            say(f"{phase} epoch {epoch + 1:,}/{epochs:,}  {shown}", self.console)

    def complete(self) -> None:
        """Move the bar of a phase that ended before its last epoch to its end."""
        if self._bars is not None:
            self._move(total=1, completed=1)

    def notice(self, text: str) -> None:
        """Tell the user something that is no error."""
        say(text, self.console)

    def finish(self, text: str) -> None:
        """End the phase's bar with a line that says how it went."""
        if self._notebook is not None and self._bars is None:
            self._notebook.change("")  # "initialise …" is said anew
        self.stop()
        say(text, self.console)

    def stop(self) -> None:
        """Take the bar away."""
        if self._bars is not None and self._live:
            self._bars.stop()
        if self._notebook is not None:
            self._notebook.keep()
        self._bars = None

    def _move(self, **changes: Any) -> None:
        assert self._bars is not None
        self._bars.update(self._task, **changes)
        if self._notebook is not None:
            # Not rich's own way, which asks for ipywidgets and leaves nothing in a saved notebook.
            with self.console.capture() as captured:
                self.console.print(self._bars.get_renderable())
            self._notebook.change(captured.get().rstrip())
