"""What is said to people, on stderr."""

from __future__ import annotations

from rich.console import Console

from terminal.names import printable


def stderr_console(quiet: bool = False) -> Console:
    """Prints texts on stderr as they are: brackets are no markup, numbers have no colours."""
    return Console(stderr=True, highlight=False, markup=False, quiet=quiet)


def say(text: str, console: Console | None = None) -> None:
    """Tell the user `text`, without line breaks of its own: copied paths stay whole. Names in it may be any."""
    (console or stderr_console()).print(printable(text, keep="\n"), soft_wrap=True)
