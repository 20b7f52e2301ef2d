"""What the columns of a table are: pixels, the label, an index. Told by the header, by numbers of columns, by values.

A header is a line with text in its first or last column, unless that column holds text below as well; and a line of
column numbers, 0, 1, 2, …, or of names such as 0, 0.1, 0.2, … which pandas writes for columns without names.

The pixels must be a square number (or three times one, in colour). One column beside them is an index where it counts
its rows or is called so, and otherwise the label, whatever its name.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from data.image_set import DataError
from data.layouts import side_of

LABELS = {
    *("label", "labels", "class", "classes", "target", "targets", "y", "category", "digit", "letter", "character"),
    *("emotion", "class_id", "class_name", "label_id", "classid", "labelid", "species", "diagnosis"),
}
INDICES = {"", "index", "id", "idx", "imageid", "image_id", "row", "row_id", "rowid", "rownames"}
UNNAMED = re.compile(r"unnamed: \d+(_level_\d+)?")
MANGLED = re.compile(r"(?P<base>-?\d+(\.\d+)?)\.(?P<count>\d+)")
FEWEST_NUMBERED = 9  # columns that are a header by their numbers alone: fewer may be an image
BALANCED = 0.6  # the most frequent class of a column that looks like labels has at most this share

Rows = Sequence[Sequence[str]]


@dataclass(frozen=True)
class Roles:
    """The columns by number. `others` hold neither pixels nor labels; `note` says what was decided without a name."""

    pixels: tuple[int, ...]
    label: int | None
    others: tuple[int, ...] = ()
    note: str | None = None


def has_header(first: Sequence[str], rows: Rows) -> bool:
    """Whether `first`, the file's first line, holds the columns' names. `rows` are lines that follow."""
    if _counts_up(first) or _mangled(first):
        return True
    # A number that is missing or misspelt in between makes no header of the first image.
    ends = {0, len(first) - 1}
    text = [column for column in ends if _is_text(first[column])]
    if not text:
        return False
    below = next((row for row in rows if len(row) == len(first)), None)
    numbers = [field for column, field in enumerate(first) if column not in ends]
    first_is_image = below is not None and bool(numbers) and not any(map(_is_text, numbers))
    return not (first_is_image and below is not None and all(_is_text(below[column]) for column in text))


def roles_of(names: Sequence[str] | None, columns: int, rows: Rows, what: str, form: str, labelled: bool) -> Roles:
    """What every column is for.

    Args:
        names: of the header, or None.
        columns: how many there are.
        rows: some of the lines below the header.
        what: how messages call the file.
        form: what is allowed, for messages.
        labelled: whether the label is wanted.

    Raises DataError where the columns beside the pixels have no one meaning.
    """
    own = None if names is None or _counts_up(names) or _mangled(names) else [name.strip().lower() for name in names]
    found = [] if names is None else [i for i, name in enumerate(names) if name.strip().lower() in LABELS]
    if len(found) > 1 and labelled:
        called = [f"`{names[i].strip()}`" for i in found] if names is not None else []
        said = (
            f"{len(found)} columns named {called[0]}" if len(set(called)) == 1 else f"the columns {', '.join(called)}"
        )
        raise DataError(
            f"{what} has {said}, and one can be the label. {form} Take the others out, or read without labels: "
            "data.labels=none."
        )
    label = found[0] if labelled and found else None
    index = [] if names is None else [i for i, name in enumerate(names) if _names_an_index(name, i, rows)]
    index += [] if labelled else found
    rest = [column for column in range(columns) if column != label and column not in index]
    for channels in (1, 3):
        roles = _fitting(channels, rest, label, index, own, rows, what)
        if roles is not None:
            return roles
    said = "none of them the label" if label is None else "one of them the label"
    raise DataError(
        f"{what} has {columns} columns, {said}; {len(rest)} pixels make no square image. {form} Take other columns out."
    )


def _fitting(
    channels: int,
    rest: list[int],
    label: int | None,
    index: list[int],
    names: Sequence[str] | None,
    rows: Rows,
    what: str,
) -> Roles | None:
    """The roles where `rest`, without what may stand beside the pixels, makes images of so many channels."""

    def fits(pixels: int) -> bool:
        side = side_of(pixels)
        return side is not None and side[0] == channels

    # pandas writes an index before all else; a label of as many classes as images there is not.
    running = bool(rest) and _runs(rest[0], rows)
    if fits(len(rest)):
        return Roles(tuple(rest), label, tuple(index))
    if running and fits(len(rest) - 1):
        return Roles(tuple(rest[1:]), label, (*index, rest[0]), "the first column counts the rows and was not read")
    if label is not None:
        return None
    for skipped in (0, 1) if running else (0,):
        left = rest[skipped:]
        if fits(len(left) - 1):
            odd, how = _odd_one(left, names, rows, what)
            pixels = tuple(column for column in left if column != odd)
            return Roles(pixels, odd, (*index, *rest[:skipped]), f"the label was taken from {how}")
    return None


def _odd_one(columns: list[int], names: Sequence[str] | None, rows: Rows, what: str) -> tuple[int, str]:
    """The one of the columns that holds no pixels, and how it is called."""
    if names is not None:
        stems = {column: re.sub(r"\d+", "#", names[column]) for column in columns}
        usual, _ = Counter(stems.values()).most_common(1)[0]
        odd = [column for column in columns if stems[column] != usual]
        if len(odd) == 1:
            return odd[0], f"the column `{names[odd[0]]}`"
    text = [column for column in columns if any(_is_text(row[column]) for row in rows if len(row) > column)]
    if len(text) == 1:
        return text[0], f"column {text[0] + 1}, the only one of text"
    first, last = columns[0], columns[-1]
    like = _looks_like_labels(first, rows), _looks_like_labels(last, rows)
    if all(like) and len(columns) > 2:
        raise DataError(
            f"{what}: the first and the last column may both be the label. Put a header line before the first image, "
            "with the name label over one of them."
        )
    constant = len({row[first] for row in rows if len(row) > first}) < 2 < len(rows)
    return (last, "the last column") if like[1] or (constant and not like[0]) else (first, "the first column")


def _looks_like_labels(column: int, rows: Rows) -> bool:
    """Whether the values are all the numbers from 0 or 1 up to the largest, two at least, and none has most rows."""
    values = [row[column] for row in rows if len(row) > column]
    try:
        numbers = [float(value) for value in values]
    except ValueError:
        return False
    counts = Counter(numbers)
    least, most = min(counts, default=0.0), max(counts, default=0.0)
    if least not in (0, 1) or len(counts) != most - least + 1 or not 2 <= len(counts) <= len(numbers) // 2:
        return False
    return max(counts.values()) <= BALANCED * len(numbers)


def _names_an_index(name: str, column: int, rows: Rows) -> bool:
    """An empty name is one as pandas writes it; names like `id` are one where every row has its own value."""
    name = name.strip().lower()
    if UNNAMED.fullmatch(name) or (name == "" and column == 0):
        return True
    values = [row[column] for row in rows if len(row) > column]
    return name in INDICES and (len(set(values)) == len(values) or _runs(column, rows))


def _runs(column: int, rows: Rows) -> bool:
    """Whether the values count the rows, from 0 or 1; three at least."""
    values = [row[column] for row in rows if len(row) > column]
    if len(values) < 3:
        return False
    return any(all(_is(value, start + i) for i, value in enumerate(values)) for start in (0, 1))


def _counts_up(first: Sequence[str]) -> bool:
    """Whether a line holds the columns' numbers from 0 or 1, after at most two columns of another kind."""
    for start in range(3):
        run = first[start:]
        if len(run) >= FEWEST_NUMBERED and run[0].strip() in ("0", "1"):
            begin = 1 if run[0].strip() == "1" else 0
            if all(field.strip() == str(begin + i) for i, field in enumerate(run)):
                return True
    return False


def _mangled(first: Sequence[str]) -> bool:
    """Whether a line holds what pandas makes of equal names: 0, 0.1, 0.2, ….

    So it is with tables that were once read without `header=None`: the first image became the names.
    """
    fields = [field.strip() for field in first]
    there = set(fields)
    if len(there) != len(fields) or len(fields) < FEWEST_NUMBERED or any(map(_is_text, fields)):
        return False
    counted = [match for match in map(MANGLED.fullmatch, fields) if match]
    return 2 * len(counted) >= len(fields) and all(match["base"] in there for match in counted)


def _is(field: str, number: int) -> bool:
    try:
        return float(field) == number
    except ValueError:
        return False


def _is_text(field: str) -> bool:
    try:
        return not np.isfinite(float(field.replace(",", ".") or "0"))
    except ValueError:
        return True
