"""Values as people write them, read by the type that the schema declares for them, and by nothing else.

A value from a config file, from --set or from --grid is the text that stands there. Whether `010`, `on`, `1_000` or
`2024-01-01` is a number, a yes or a name depends on the setting alone. YAML's own rules play no part: by them `010` is
8, `1:30` is 90 and `on` is true.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel

T = TypeVar("T")

LARGEST = 2**31 - 1
"""The largest whole number of a setting: libraries in C take no larger ones."""

WORDS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
NOTHING = ("null", "~", "")
WHOLE = re.compile(r"[+-]?[0-9]+")
DECIMAL = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
NAMES = {int: "a whole number in digits", float: "a number such as 20, 0.001 or 1e-3", bool: "true or false"}
LIST, SECTION = "a list such as [500, 10]", "a section such as {setting: value}"
SUITABLE: dict[type, set[type]] = {bool: {bool}, int: {int, float}, float: {float}}
"""For what a number from a Python program may stand."""


@dataclass(frozen=True)
class Misread:
    """Stands for a value that its setting does not take, so that the schema refuses it with all others at once."""

    value: Any
    allowed: str

    def __repr__(self) -> str:
        return f"{self.value!r} ({self.allowed})"  # where pydantic itself tells of it


def read(value: Any, declared: Any) -> Any:
    """`value` with the type that `declared` asks for.

    Text becomes a number, a truth value, None or stays text; lists and mappings are read item by item. Sections are
    left as they are: they read their own settings. Limits are checked elsewhere, except for `LARGEST`.

    Args:
        value: text, or what a Python program gives.
        declared: a type annotation.

    Raises:
        ValueError: which says what is allowed.
    """
    allowed = alternatives(declared)
    if isinstance(value, str):
        return _from_text(value, allowed)
    if isinstance(value, Mapping):
        return _from_mapping(value, allowed)
    if isinstance(value, Sequence):
        return _from_list(value, allowed)
    for kind, suitable in SUITABLE.items():  # bool first, for Python counts it among the integers
        if isinstance(value, kind):
            return _within_limits(value, allowed) if suitable & {*allowed} else _refuse(value, allowed)
    return value


def alternatives(declared: Any) -> tuple[Any, ...]:
    """The members of a union, without what stands beside them in `Annotated`; one for any other type."""
    if get_origin(declared) is Annotated:
        return alternatives(get_args(declared)[0])
    if get_origin(declared) in (Union, UnionType):
        return tuple(kind for member in get_args(declared) for kind in alternatives(member))
    return (declared,)


def is_scalar(declared: Any) -> bool:
    """Whether values of this type are never written as a list or as a section."""
    return all(
        kind in (str, int, float, bool, NoneType) or get_origin(kind) is Literal for kind in alternatives(declared)
    )


def _from_text(text: str, allowed: Sequence[Any]) -> Any:
    word = text.strip()
    if word in _choices(allowed):
        return word
    if NoneType in allowed and word.lower() in NOTHING:
        return None
    if bool in allowed and word.lower() in WORDS:
        return WORDS[word.lower()]
    if int in allowed and WHOLE.fullmatch(word):
        # Python refuses to read thousands of digits; a number of 20 is too large already.
        return _within_limits(int(word) if len(word) < 20 else LARGEST + 1, allowed)
    if float in allowed and DECIMAL.fullmatch(word):
        return float(word)
    if str in allowed and "\0" in text:
        raise ValueError("Text cannot hold the character 0, which ends a name for the system")
    if str in allowed:
        return text
    return _refuse(text, allowed)


def _from_mapping(value: Mapping[Any, Any], allowed: Sequence[Any]) -> Any:
    for kind in allowed:
        if get_origin(kind) is dict:
            key_type, value_type = get_args(kind)
            return {read(key, key_type): read(inner, value_type) for key, inner in value.items()}
    return _refuse(value, allowed)


def _from_list(value: Sequence[Any], allowed: Sequence[Any]) -> Any:
    for kind in allowed:
        if get_origin(kind) in (tuple, list):
            return [read(item, get_args(kind)[0]) for item in value]
    return _refuse(value, allowed)


def _refuse(value: Any, allowed: Sequence[Any]) -> Any:
    """Raises ValueError; where a choice or text is all that is allowed, pydantic says so."""
    names = list(dict.fromkeys(name for kind in allowed if (name := _name(kind))))
    if not names or (isinstance(value, Mapping) and SECTION in names):
        return value
    names += [repr(choice) for choice in _choices(allowed)] + ["null"] * (NoneType in allowed)
    raise ValueError(f"It takes {', or '.join(names)}")


def _name(kind: Any) -> str | None:
    if get_origin(kind) in (tuple, list):
        return LIST
    return SECTION if get_origin(kind) is dict or _is_section(kind) else NAMES.get(kind)


def _is_section(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def _within_limits(number: T, allowed: Sequence[Any]) -> T:
    if isinstance(number, int) and int in allowed and abs(number) > LARGEST:
        raise ValueError(f"Whole numbers go up to {LARGEST}")
    return number


def _choices(allowed: Sequence[Any]) -> list[Any]:
    return [choice for kind in allowed if get_origin(kind) is Literal for choice in get_args(kind)]
