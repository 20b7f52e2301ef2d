"""Names in any script in figures: with a font that has it, and without one."""

from __future__ import annotations

from pathlib import Path

import matplotlib
import numpy as np
import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from matplotlib.figure import Figure
from matplotlib.font_manager import fontManager
from PIL import Image

from report.figures import fonts
from report.figures.files import draw_files
from report.figures.fonts import drawable, families
from report.figures.panels import named_pictures
from report.figures.style import plain


@pytest.fixture(autouse=True)
def _no_other_fonts(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where matplotlib's own fonts are the only ones, whatever this machine has."""
    own = str(Path(matplotlib.get_data_path()))
    monkeypatch.setattr(fontManager, "ttflist", [font for font in fontManager.ttflist if font.fname.startswith(own)])
    monkeypatch.setattr(fonts, "findSystemFonts", list)
    for cached in (fonts._find_new_fonts, fonts._font, fonts._characters):
        cached.cache_clear()


def square(side: int) -> object:
    """The outline of a character; nothing where the side is 0."""
    pen = TTGlyphPen(None)
    if side:
        pen.moveTo((50, 0))
        for corner in ((50, side), (50 + side, side), (50 + side, 0)):
            pen.lineTo(corner)
        pen.closePath()
    return pen.glyph()


def make_font(folder: Path, family: str, characters: str, empty: str = "") -> str:
    """A font whose characters are black squares; those in `empty` have no outline, as in fonts of coloured pictures."""
    names = {character: f"u{ord(character):05X}" for character in characters + empty}
    outlines = {name: square(0 if character in empty else 900) for character, name in names.items()}
    shown = {".notdef": square(900), **outlines}  # which formats want first
    font = FontBuilder(1000, isTTF=True)
    font.setupGlyphOrder(list(shown))
    font.setupCharacterMap({ord(character): name for character, name in names.items()})
    font.setupGlyf(shown)
    font.setupHorizontalMetrics(dict.fromkeys(shown, (1000, 0)))
    font.setupHorizontalHeader(ascent=900, descent=-100)
    font.setupNameTable({"familyName": family, "styleName": "Regular"})
    font.setupOS2(usWeightClass=400)
    font.setupPost()
    file = folder / f"{family}.ttf"
    font.save(file)
    return str(file)


def test_without_a_font_a_name_is_shown_as_it_is_read_or_escaped() -> None:
    assert families(["ねこ 日本", "café Ünï 🐱"]) == matplotlib.rcParams["font.family"]
    assert drawable("ねこ café", 20) == "neko café"
    assert drawable("犬\n\udce9", 20) == r"\u72ac\n\xe9"
    assert plain("$ねこ$") == r"\$neko\$"


def test_names_are_cut_by_the_room_that_they_take_and_never_within_a_character() -> None:
    assert drawable("x" * 20, 20) == "x" * 20
    assert drawable("x" * 21, 20) == "x" * 19 + "…"
    assert drawable("犬" * 5, 20) == r"\u72ac\u72ac\u72ac…"  # six letters each, and one for the dots


def test_the_fewest_fonts_are_taken_that_have_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = [
        make_font(tmp_path, "Half", "日"),
        make_font(tmp_path, "Whole", "日本犬"),
        make_font(tmp_path, "Coloured", "", "🫨"),
    ]
    monkeypatch.setattr(fonts, "findSystemFonts", lambda: [*files, str(tmp_path / "none.ttf")])
    own = list(matplotlib.rcParams["font.family"])
    assert families(["abc"]) == own
    assert families(["日本", "🫨"]) == [*own, "Whole"]
    with matplotlib.rc_context({"font.family": families(["日本"])}):
        assert drawable("日本 ねこ 犬", 40) == "日本 neko 犬"
        assert drawable("日本犬日本犬", 6) == "日本…"  # ideographs are twice as wide


def test_what_a_font_has_is_drawn_with_it_and_without_warnings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The square of the test's font is one black block of a whole em, which no letter of the others is."""
    monkeypatch.setattr(fonts, "findSystemFonts", lambda: [make_font(tmp_path, "Squares", "日")])

    def titled() -> Figure:
        figure = Figure(figsize=(2, 1))
        figure.text(0.5, 0.5, plain("日"), fontsize=30)
        return figure

    drawn = draw_files({"named": titled}, tmp_path / "with", ["日"])
    assert drawn.problem is None
    ink = np.asarray(Image.open(drawn.paths[0]).convert("L")) < 128
    rows, columns = ink.any(1).nonzero()[0], ink.any(0).nonzero()[0]
    block = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    assert block[1:-1, 1:-1].all()
    assert block.shape[0] == pytest.approx(0.9 * 30 / 72 * 150, abs=2)  # 0.9 em of 30 points at 150 pixels an inch


def test_names_over_pictures_keep_to_their_two_lines() -> None:
    names = ["a\nb", "", "ねこ", "$5 and a long name", "x" * 60]
    figure = named_pictures("title", names, [None] * len(names))
    texts = [text.get_text() for text in figure.axes[0].texts if text.get_text() not in ("title", "empty")]
    assert texts == [r"a\nb", "", "neko", "\\$5 and a long\nname", "x" * 13 + "\n" + "x" * 12 + "…"]
