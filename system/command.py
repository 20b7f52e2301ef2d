"""How every command begins and ends, in whatever terminal."""

from __future__ import annotations

import signal
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from system.cache import keep_no_images
from system.interrupts import heard
from system.start import end_quiet, quiet_imports
from system.streams import say, take_any_text


def _obey(no_cache: bool) -> None:
    if no_cache:
        keep_no_images()


NoCache = Annotated[
    bool, typer.Option("--no-cache", callback=_obey, help="Keep no decoded pictures for the next command.")
]
"""An option of commands that read data."""


class Command(TyperCommand):
    """A command whose output gets out whatever the names and the encoding, and which ends on Ctrl-C with a line.

    No argument may be empty: in a script that comes of a variable that is not set, and an empty path would be the
    current folder.
    """

    def main(self, *args: Any, **kwargs: Any) -> Any:
        take_any_text()
        was_quiet = end_quiet()
        try:
            return super().main(*args, **kwargs)
        finally:
            if was_quiet:  # nothing is left to do but to end
                quiet_imports()

    def parse_args(self, ctx: Any, args: list[str]) -> Any:
        for position, given in enumerate(args):
            option, equals, value = given.partition("=")
            if given and (value or not equals or not given.startswith("-")):
                continue
            option = option or ("" if position == 0 else args[position - 1])
            what = f"{option}: received nothing" if option.startswith("-") else "received an empty argument"
            say(f"{what}. Give a value (a shell variable that is not set gives none); the folder here is `.`.")
            raise typer.Exit(2)
        return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        try:
            with heard((KeyboardInterrupt,), signal.SIGINT):
                return super().invoke(ctx)
        except KeyboardInterrupt as error:
            say("interrupted.")
            raise typer.Exit(130) from error


class App(typer.Typer):
    """A program of one command. Its file calls `quiet_imports` before all other imports."""

    def __init__(self) -> None:
        super().__init__(add_completion=False, pretty_exceptions_enable=False)

    def command(self, *args: Any, **kwargs: Any) -> Callable[[Any], Any]:
        return super().command(*args, **{"cls": Command, **kwargs})


def leave(problems: Sequence[str], code: int = 2) -> typer.Exit:
    """Say on stderr what went wrong, and the exit that carries `code`."""
    for problem in problems:
        say(problem)
    return typer.Exit(code)
