"""Figures as PNG files: each drawn on its own, so that one that fails costs no other."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import matplotlib
from matplotlib.figure import Figure

from evaluation.figures.style import STYLE


class Drawn(NamedTuple):
    """What `draw_files` did.

    Attributes:
        paths: the files written, in the order in which they were given.
        problem: for a person: which figures failed and why; None where none did.
    """

    paths: list[Path]
    problem: str | None


def draw_files(figures: Mapping[str, Callable[[], Figure | None]], folder: Path) -> Drawn:
    """Draw every figure as `folder`/<name>.png; older files are replaced.

    Args:
        figures: file name without its ending -> what draws it; None where there is nothing to draw.
        folder: made if need be.

    Raises:
        OSError: the folder cannot be made.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths, failures = [], []
    for name, function in figures.items():
        try:
            content = _png(function)
            if content is not None:
                path = folder / f"{name}.png"
                path.write_bytes(content)
                paths.append(path)
        except Exception as error:  # whatever it is, the other figures are still wanted
            failures.append(f"  {name}: {type(error).__name__}: {error}")
    problem = f"{len(failures)} of {len(figures)} figures could not be drawn:\n" + "\n".join(failures)
    return Drawn(paths, problem if failures else None)


def _png(function: Callable[[], Figure | None]) -> bytes | None:
    with matplotlib.rc_context(STYLE), warnings.catch_warnings():
        # A class name in a script that the font lacks is drawn as boxes; no reason to warn or to stop.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure = function()
        if figure is None:
            return None
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png")
        return buffer.getvalue()
