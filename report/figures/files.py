"""Figures as PNG files: each drawn on its own, so that one that fails costs no other."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import BinaryIO, NamedTuple

import matplotlib
from matplotlib.figure import Figure

from evaluation.predictions import EvaluationError
from report.figures.fonts import families
from report.figures.style import STYLE
from system.atomic import write_atomically
from system.streams import say


class Drawn(NamedTuple):
    """What `draw_files` did.

    Attributes:
        paths: the files written, in the order in which they were given.
        problem: for a person: which figures failed and why; None where none did.
    """

    paths: list[Path]
    problem: str | None


def draw_files(figures: Mapping[str, Callable[[], Figure | None]], folder: Path, names: Iterable[str] = ()) -> Drawn:
    """Draw every figure as `folder`/<name>.png. Older files of these names go, whether there is a new one or not.

    Args:
        figures: file name without its ending -> what draws it; None where there is nothing to draw.
        folder: made if need be.
        names: of classes, data sets and so on that stand in the figures, for fonts that have their characters.

    Raises:
        EvaluationError: the folder cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise EvaluationError(f"no figures: cannot write into {folder}: {error.strerror or error}.") from error
    paths, failures = [], []
    with matplotlib.rc_context({**STYLE, "font.family": families(names)}):
        for name, function in figures.items():
            path = folder / f"{name}.png"
            try:
                content = _png(function)
                if content is not None:
                    write_atomically(path, partial(_fill, content))
                    paths.append(path)
                    continue
            except Exception as error:  # whatever it is, the other figures are still wanted
                failures.append(f"  {name}: {type(error).__name__}: {error}")
            remove_older(folder, [name])
    wanted = len(paths) + len(failures)
    problem = f"{len(failures)} of {wanted} figures could not be drawn:\n" + "\n".join(failures)
    return Drawn(paths, problem if failures else None)


def remove_older(folder: Path, names: Iterable[str]) -> None:
    """Remove the files that `draw_files` may have left there under `names`; nothing else."""
    for name in names:
        with suppress(OSError):  # it stays, as does a folder of that name
            (folder / f"{name}.png").unlink(missing_ok=True)


def _fill(content: bytes, file: BinaryIO) -> None:
    file.write(content)


def _png(function: Callable[[], Figure | None]) -> bytes | None:
    figure = function()
    if figure is None:
        return None
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


def say_drawn(folder: Path, drawn: Drawn) -> list[str]:
    """Say where figures stand; returns which could not be drawn, for people."""
    say(f"figures: {folder} ({len(drawn.paths)} files)")
    return [drawn.problem] if drawn.problem else []
