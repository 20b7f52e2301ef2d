"""Names as text that can be shown: by hand, and for whatever text there is."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from system.names import printable, stand_in
from system.streams import READABLE, as_printed, print_path, take_any_text

TEXTS = st.text(st.characters(exclude_categories=[]))  # lone surrogates too


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("T-shirt/top", "T-shirt/top"),
        ("ねこ 日本 Ünïcødé 👩‍🔬", "ねこ 日本 Ünïcødé 👩‍🔬"),
        ("全角\u3000空白", "全角\u3000空白"),
        ("a\nb\tc\rd", r"a\nb\tc\rd"),
        ("latin\udce9", r"latin\xe9"),  # the byte E9, which is é in Latin-1 and nothing in UTF-8
        ("\x1b[31mred", r"\x1b[31mred"),
        ("line\u2028end\x85", r"line\u2028end\x85"),
        ("back\u202ewards", r"back\u202ewards"),
        ("\ud83d half", r"\ud83d half"),
    ],
)
def test_what_cannot_be_shown_is_escaped_and_nothing_else(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_a_message_keeps_its_line_breaks() -> None:
    assert printable("one\ntwo\x07", keep="\n") == "one\ntwo\\x07"


@pytest.mark.parametrize(
    ("character", "shown"),
    [
        *({"é": "e", "Å": "A", "½": "1/2", "²": "2", "ß": "ss", "Ł": "L", "σ": "sigma"}.items()),
        *({"…": "...", "±": "+-", "→": "->", "↑": "^", "↓": "v", "×": "x", "–": "-"}.items()),
        *({"ね": "ne", "ガ": "ga", "ｱ": "a", "가": "ga", "犬": r"\u72ac", "🐱": ":cat face:", "Д": r"\u0414"}.items()),
        ("\u0301", ""),
        ("\udce9", r"\xe9"),
    ],
)
def test_stand_ins_can_be_read(character: str, shown: str) -> None:
    assert stand_in(character) == shown


@given(text=TEXTS)
def test_all_text_can_be_written_and_stays_what_it_is_when_it_is_done_twice(text: str) -> None:
    shown = printable(text)
    assert shown.isprintable() or not {"\n", "\r", "\t", "\x1b"} & set(shown)
    assert len(shown.splitlines()) <= 1
    assert printable(shown) == shown
    shown.encode()


@given(text=TEXTS, encoding=st.sampled_from(["ascii", "cp1252", "latin-1", "shift_jis", "utf-8", "utf-16"]))
def test_all_text_gets_out_in_all_encodings(text: str, encoding: str) -> None:
    out = text.encode(encoding, READABLE).decode(encoding)
    if encoding == "utf-8":
        assert out == "".join(printable(c) if "\ud800" <= c <= "\udfff" else c for c in text)
    assert all(stand_in(c).isascii() for c in text)


def stdout_of(monkeypatch: pytest.MonkeyPatch, encoding: str) -> io.BytesIO:
    content = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(content, encoding))
    return content


@pytest.mark.parametrize(
    ("encoding", "expected"),
    [
        ("ascii", b"0.5 +- 0.1 -> neko\n"),
        ("cp1252", "0.5 ± 0.1 -> neko\n".encode("cp1252")),
        ("utf-8", "0.5 ± 0.1 → ねこ\n".encode()),
    ],
)
def test_print_says_what_the_terminal_can(monkeypatch: pytest.MonkeyPatch, encoding: str, expected: bytes) -> None:
    content = stdout_of(monkeypatch, encoding)
    take_any_text()
    print("0.5 ± 0.1 → ねこ")
    sys.stdout.flush()
    assert content.getvalue() == expected
    assert as_printed("0.5 ± 0.1 → ねこ\n").encode(encoding) == expected


def test_a_path_is_printed_byte_for_byte_after_what_was_printed_before(monkeypatch: pytest.MonkeyPatch) -> None:
    content = stdout_of(monkeypatch, "ascii")
    print("before")
    print_path(Path("/runs/données/latin\udce9/checkpoint.pt"))
    assert content.getvalue() == "before\n/runs/données/latin".encode() + b"\xe9/checkpoint.pt\n"


def test_where_stdout_holds_text_alone_the_path_is_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    take_any_text()
    print_path(Path("/runs/a"))
    assert sys.stdout.getvalue() == "/runs/a\n"  # type: ignore[attr-defined]
