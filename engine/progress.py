"""What a person sees while a run trains: bars on a terminal, one line an epoch in a log. All on stderr."""

from __future__ import annotations

from collections.abc import Mapping

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from system.streams import say, stderr_console

LINES = 20
"""Epochs of a phase that a log tells of, at most."""


class Display:
    """Progress of the phases, and notices."""

    def __init__(self, console: Console | None = None, quiet: bool = False) -> None:
        self.console = console or stderr_console(quiet)
        self._live = self.console.is_terminal
        self._bars: Progress | None = None
        self._task: TaskID | None = None
        self._total = 0

    def start(self, phase: str, steps: int | None, done: int = 0, epochs: int = 0) -> None:
        """Show a phase of `steps` steps in `epochs` (None: a fit of unknown length), of which `done` are done."""
        self.stop()
        self._total = steps or 0
        if not self._live:
            say(f"{phase} …" if steps is None else f"{phase}: {steps:,} steps in {epochs} epochs", self.console)
            return
        self._bars = Progress(
            TextColumn("{task.description:<10}"),
            BarColumn(bar_width=20),
            TextColumn("{task.percentage:>3.0f}%"),
            TimeRemainingColumn(compact=True, elapsed_when_finished=True),
            TextColumn("{task.fields[status]}"),
            console=self.console,
        )
        self._bars.start()
        self._task = self._bars.add_task(phase, total=steps, completed=done, status="")

    def advance(self, done: int, loss: float, images_per_second: float) -> None:
        """Move the bar to `done` steps."""
        if self._bars is not None and self._task is not None:
            status = f"loss {loss:.4f}  {images_per_second:,.0f} img/s"
            self._bars.update(self._task, completed=done, status=status)

    def epoch(self, phase: str, epoch: int, epochs: int, values: Mapping[str, float]) -> None:
        """Say how an epoch ended, where no bar shows it."""
        if not self._live and (epoch + 1 == epochs or epoch % -(-epochs // LINES) == 0):
            shown = "  ".join(f"{name} {value:.4g}" for name, value in values.items())
            say(f"{phase} epoch {epoch + 1}/{epochs}  {shown}", self.console)

    def notice(self, text: str) -> None:
        """Tell the user something that is no error."""
        say(text, self.console)

    def finish(self, text: str) -> None:
        """End the phase's bar with a line that says how it went."""
        self.stop()
        say(text, self.console)

    def stop(self) -> None:
        """Take the bar away."""
        if self._bars is not None:
            self._bars.stop()
        self._bars, self._task = None, None
