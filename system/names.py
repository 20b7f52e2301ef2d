"""Names of classes, files and data sets as text that can be shown anywhere."""

from __future__ import annotations

import re
import unicodedata

JOINERS = "\u200c\u200d"
"""Invisible, but they belong to the spelling of words and of emoji."""

STAND_INS = {
    **dict.fromkeys("‐‑‒–—―−─━ー", "-"), **dict.fromkeys("‘’‚", "'"), **dict.fromkeys("“”„", '"'),
    **dict.fromkeys("│┃", "|"), "±": "+-", "×": "x", "·": ".", "•": "*", "≤": "<=", "≥": ">=", "≈": "~", "≠": "!=",
    "⁄": "/", "→": "->", "←": "<-", "↑": "^", "↓": "v", "«": "<<", "»": ">>", "ß": "ss",
    "æ": "ae", "Æ": "AE", "ø": "o", "Ø": "O", "ł": "l", "Ł": "L",
    "đ": "d", "Đ": "D", "ı": "i", "œ": "oe", "Œ": "OE", "þ": "th", "Þ": "Th",
    "ð": "d", "Ð": "D",
}  # fmt: skip
"""Characters that Unicode takes for no variant of ASCII ones, though people do."""

SOUND = re.compile(r"(?:HALFWIDTH )?(?:HIRAGANA LETTER|KATAKANA LETTER|HANGUL SYLLABLE) (?:SMALL )?(\w+)")
"""Names of characters that say how they are read."""


def printable(text: str, keep: str = "") -> str:
    r"""`text` with all that cannot be shown as an escape: a line break as \n, a byte of no encoding as \xe9.

    What has a picture of its own or is a space stays, of whatever script. Escapes are ASCII, and of printable text it
    gives the same text.

    Args:
        text: of any kind, names of files that are not UTF-8 included: Python holds their bytes as lone surrogates.
        keep: characters that stay all the same, such as the line breaks of a message.
    """
    if text.isprintable():
        return text
    return "".join(c if c in keep or _is_shown(c) else _escaped(c) for c in text)


def stand_in(character: str) -> str:
    r"""What to show, in ASCII, where there is no way to show `character`.

    A letter without its accent, a variant in its plain form, a syllable of kana or hangul as it is read, a symbol by
    its name (":cat face:"), or else an escape, \u72ac. Nothing for what only changes the character before it.
    """
    if character in STAND_INS:
        return STAND_INS[character]
    if not _is_shown(character):
        return _escaped(character)
    kind, name = unicodedata.category(character), unicodedata.name(character, "")
    # In kana a mark changes the sound: the character's own name is the better one.
    sound = SOUND.fullmatch(name)
    if sound:
        return sound[1].lower()
    parts = "".join(c for c in unicodedata.normalize("NFKD", character) if not unicodedata.combining(c))
    letters = "".join(STAND_INS.get(c, c) for c in parts)
    if letters and letters.isascii():
        return letters
    if kind.startswith("M") or character in JOINERS:
        return ""
    if name.startswith("GREEK") and " LETTER " in name:
        return name.partition(" LETTER ")[2].split()[0].lower()
    return f":{name.lower()}:" if kind in ("So", "Sm", "Sk") and name else _escaped(character)


def _is_shown(character: str) -> bool:
    return character.isprintable() or character in JOINERS or unicodedata.category(character) == "Zs"


def _escaped(character: str) -> str:
    number = ord(character)
    if 0xDC80 <= number <= 0xDCFF:  # a byte of a file's name, see PEP 383
        return f"\\x{number - 0xDC00:02x}"
    return character.encode("unicode_escape").decode()
