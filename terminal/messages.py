"""What is said to people, on stderr."""

from __future__ import annotations

from rich.console import Console

from terminal.names import printable


def stderr_console(quiet: bool = False) -> Console:
    """Prints texts on stderr as they are: brackets are no markup, :cat: no emoji, numbers have no colours."""
    return Console(stderr=True, highlight=False, markup=False, emoji=False, quiet=quiet)


def say(text: str, console: Console | None = None) -> None:
    """Tell the user `text`, without line breaks of its own: copied paths stay whole. Names in it may be any."""
    shown = printable(text, keep="\n")
    (console or stderr_console()).print(shown, soft_wrap=True, markup=False, emoji=False)
