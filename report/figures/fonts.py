"""Fonts for names in any script, and what to show where no installed font has a character."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import cache
from typing import Any

import matplotlib
from matplotlib.font_manager import FontProperties, findfont, findSystemFonts, fontManager, get_font
from rich.cells import cell_len

from system.names import printable, stand_in

NOT_FOR_TEXT = ("Last Resort", "STIX", "cm")
"""How names of families begin that have boxes for all characters, or symbols of formulas in letters' places."""


def families(texts: Iterable[str]) -> list[str]:
    """matplotlib's own font families and, of those installed, the few that have what these lack for `texts`.

    Where several have it, the one with most of what is missing, without serifs rather than with them.
    """
    chosen = list(matplotlib.rcParams["font.family"])
    missing = _wanted(texts) - _covered(chosen)
    if missing:
        _find_new_fonts()
    others = [name for name in sorted(_weights()) if not name.startswith(NOT_FOR_TEXT)]
    while missing:
        gains = {name: len(_drawn_by(name, missing)) for name in others}
        best = max(others, key=lambda name: (gains[name], "Serif" not in name, "Mono" not in name), default=None)
        if best is None or not gains[best]:
            break
        chosen.append(best)
        missing -= _drawn_by(best, missing)
    return chosen


def drawable(text: str, longest: int) -> str:
    """`text` in characters that the families of now have, cut to the room of `longest` Latin letters.

    What no font has is shown by its `stand_in`, whole or not at all.
    """
    fonts = _covered(matplotlib.rcParams["font.family"])
    pieces = [c if ord(c) in fonts else stand_in(c) for c in printable(text)]
    if sum(map(_room, pieces)) <= longest:
        return "".join(pieces)
    kept, room = "", 1
    for piece in pieces:
        room += _room(piece)
        if room > longest:
            break
        kept += piece
    return kept + "…"


def _room(piece: str) -> int:
    """Ideographs, syllables and emoji are about twice as wide as a Latin letter."""
    return cell_len(piece)


def _wanted(texts: Iterable[str]) -> frozenset[int]:
    return frozenset(ord(c) for text in texts for c in printable(text))


def _covered(names: Sequence[str]) -> frozenset[int]:
    """The characters of the families."""
    return frozenset().union(*(_characters(name) for name in names))


@cache
def _find_new_fonts() -> None:
    """matplotlib keeps a list of fonts for ever: those that were installed since are not in it."""
    known = {font.fname for font in fontManager.ttflist}
    for path in sorted(set(findSystemFonts()) - known):
        with suppress(Exception):  # whatever a file holds that matplotlib cannot use, it is one font less
            fontManager.addfont(path)


def _weights() -> dict[str, int | str]:
    """Of every family that is installed upright, the weight nearest to the common one, 400."""
    found: dict[str, int | str] = {}
    for font in fontManager.ttflist:
        if font.style == "normal" and (font.name not in found or font.weight in (400, "normal", "regular")):
            found[font.name] = font.weight
    return found


@cache
def _font(family: str) -> Any:
    """The face of the family that is drawn; None where there is none, or it cannot be read."""
    weight = _weights().get(family, "normal")
    try:
        return get_font(findfont(FontProperties(family=[family], weight=weight), fallback_to_default=False))
    except (ValueError, OSError, RuntimeError):
        return None


@cache
def _characters(family: str) -> frozenset[int]:
    font = _font(family)
    return frozenset() if font is None else frozenset(font.get_charmap())


def _drawn_by(family: str, wanted: frozenset[int]) -> frozenset[int]:
    """Those of `wanted` of which the family has an outline: fonts of coloured pictures have none."""
    return frozenset(number for number in wanted & _characters(family) if _has_outline(_font(family), number))


def _has_outline(font: Any, number: int) -> bool:
    font.load_char(number)
    return len(font.get_path()[0]) > 0
