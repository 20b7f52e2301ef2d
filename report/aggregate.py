"""Rows of several runs: mean ± standard deviation over seeds, and titles that tell other settings apart."""

from __future__ import annotations

import json
import re
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from configs.load import short_name
from report.rows import BETWEEN_NOTES, SD, Row, Value, all_keys, value

# Rows that agree in these are runs of one thing under several seeds.
SAME = ("title", "method", "data", "split", "protocol", "n", "k_asked", "known", "threads", "device")
NUMBER = re.compile(r"(?<![\w.,/=-])-?\d+(?:,\d{3})*(?:\.\d+)?(?:e[+-]?\d+)?(?![\w/=-])")
"""In a note. A number within a name, such as that of a file or a network, is none."""
REPORTED = "reported_"
"""Before a metric's name: the figure that a published report gives."""


def over_seeds(rows: Sequence[Row]) -> list[Row]:
    """One row for the runs that differ in their seed alone, in the order of their first.

    A number becomes its mean, and `<key>_sd` holds its sample standard deviation (n - 1), None for a single run. A mean
    needs the value in every run. Texts that differ are all kept, notes with the number of runs that they are of. `seed`
    lists the seeds, `runs` counts them.
    """
    groups: dict[tuple[Value, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault(tuple(value(row, key) for key in SAME), []).append(row)
    return [_summary(group) for group in groups.values()]


def _summary(group: Sequence[Row]) -> Row:
    summary: dict[str, Value] = {}
    for key in all_keys(group):
        values = [value(row, key) for row in group]
        numbers = [float(v) for v in values if isinstance(v, int | float)]
        if key in SAME or key.startswith(REPORTED) or (key == "k" and len(set(values)) == 1):
            summary[key] = values[0]
        elif key == "seed":
            summary[key] = ", ".join(str(v) for v in values)
            summary["runs"] = len(group)
        elif len(numbers) == len(group):
            summary[key] = statistics.fmean(numbers)
            summary[key + SD] = statistics.stdev(numbers) if len(numbers) > 1 else None
        elif key == "notes":
            summary[key] = _notes(values)
        elif key != "checkpoint":
            texts = dict.fromkeys(str(v) for v in values if isinstance(v, str))
            summary[key] = BETWEEN_NOTES.join(texts) or None
    return summary


def _notes(values: Sequence[Value]) -> str | None:
    """Every note once; one that is not of all runs says of how many. Notes that differ in their numbers alone are one,
    with the smallest number and the largest."""
    alike: dict[tuple[str, int], list[str]] = {}
    for v in values:
        words: Counter[str] = Counter()
        for note in dict.fromkeys(v.split(BETWEEN_NOTES) if isinstance(v, str) else ()):
            pattern = NUMBER.sub("#", note)
            words[pattern] += 1  # two of one run are two
            alike.setdefault((pattern, words[pattern]), []).append(note)
    of = f"of {len(values)} seeds"
    texts = ((_with_ranges(notes), len(notes)) for notes in alike.values())
    return BETWEEN_NOTES.join(text if n == len(values) else f"{text} ({n} {of})" for text, n in texts) or None


def _with_ranges(notes: Sequence[str]) -> str:
    """A note that stands for several of the same words: "11 to 13 clusters found"."""
    numbers = zip(*(NUMBER.findall(note) for note in notes), strict=True)
    ranges = iter([_range(sorted(set(found), key=_size)) for found in numbers])
    return NUMBER.sub(lambda _: next(ranges), notes[0])


def _range(ascending: Sequence[str]) -> str:
    return ascending[0] if len(ascending) == 1 else f"{ascending[0]} to {ascending[-1]}"


def _size(number: str) -> float:
    return float(number.replace(",", ""))


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
