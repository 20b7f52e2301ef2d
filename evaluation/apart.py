"""Runs of one title that differ in more than their seed: titles that say in what."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from configs.load import short_name
from evaluation.rows import Row, value

ASIDE = ("seed", "runtime")
"""Settings with columns of their own."""


def told_apart(rows: Sequence[Row], settings: Mapping[str, Mapping[str, Any]]) -> list[Row]:
    """The rows, in order; where runs of one title on one data set have different settings, the title names theirs,
    a setting by the last part of its key where that suffices.

    Args:
        rows: of runs, each with its "checkpoint".
        settings: by checkpoint, the whole config.
    """
    flat = {path: _flat({k: v for k, v in config.items() if k not in ASIDE}) for path, config in settings.items()}
    keys = [_group(row, flat) for row in rows]
    groups: dict[tuple[Any, ...], set[str]] = {}
    for row, key in zip(rows, keys, strict=True):
        groups.setdefault(key, set()).add(str(value(row, "checkpoint")))
    return [_named(row, flat, groups[key]) for row, key in zip(rows, keys, strict=True)]


def _group(row: Row, flat: Mapping[str, Mapping[str, Any]]) -> tuple[Any, ...]:
    path = str(value(row, "checkpoint"))
    return value(row, "title"), value(row, "method"), flat[path].get("data.name")


def _named(row: Row, flat: Mapping[str, Mapping[str, Any]], alike: set[str]) -> Row:
    own = flat[str(value(row, "checkpoint"))]
    keys = dict.fromkeys(key for path in sorted(alike) for key in flat[path])
    differ = [key for key in keys if any(flat[path].get(key) != own.get(key) for path in alike)]
    shown = [f"{short_name(key, differ)}={_text(own[key])}" for key in differ if key in own]
    return {**row, "title": ", ".join([str(value(row, "title")), *shown])}


def _flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """By "section.key", in order."""
    found: dict[str, Any] = {}
    for key, entry in settings.items():
        found |= _flat(entry, f"{prefix}{key}.") if isinstance(entry, Mapping) else {f"{prefix}{key}": entry}
    return found


def _text(entry: Any) -> str:
    return entry if isinstance(entry, str) else json.dumps(entry)
