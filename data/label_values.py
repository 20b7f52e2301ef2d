"""Labels as people keep them, as one value an image: whole numbers or strings."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int64, Shaped

from data.image_set import DataError

Array = Shaped[np.ndarray, "..."]  # of any dtype
Values = Shaped[np.ndarray, " _"]  # (n,), int64 or strings

NONE = "data.labels=none reads the images without labels."


def values_of(labels: Array, what: str) -> Values:
    """One value an image, (n,), int64 or strings.

    Args:
        labels: (n,) or (n, 1), whole numbers or strings; or (n, k), one-hot.
        what: how messages call them.

    Raises DataError for labels of another kind or shape, and for missing ones.
    """
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim == 2 and labels.dtype.kind in "buif":
        if not (((labels == 0) | (labels == 1)).all() and (labels.sum(axis=1) == 1).all()):
            raise DataError(
                f"{what} has the shape {labels.shape}, and not a single 1 in each row: an image has one class. {NONE}"
            )
        classes: Values = labels.argmax(axis=1).astype(np.int64)
        return classes
    if labels.ndim != 1:
        raise DataError(f"{what} has the shape {labels.shape}; labels are (n,), (n, 1), or (n, k) with one 1. {NONE}")
    if labels.dtype.kind == "S":
        return _text(np.char.decode(labels, "utf-8", "replace"))
    if labels.dtype.kind == "U":
        return _text(labels)
    if labels.dtype.kind not in "buif":
        raise DataError(f"{what} holds {labels.dtype}; labels are whole numbers or strings. {NONE}")
    if labels.dtype.kind == "f":
        if not np.isfinite(labels).all():
            raise DataError(f"{what}: some are missing. {NONE}")
        if not (np.rint(labels) == labels).all():
            wrong = labels[np.rint(labels) != labels][0]
            raise DataError(f"{what} holds {wrong:g}; labels are whole numbers or strings. {NONE}")
    values = labels.astype(np.int64)
    if values.size and values.min() < 0:
        raise DataError(f"{what}: labels start at {values.min()}. Leave them out if some are unknown. {NONE}")
    return values


def alike(values: Sequence[Values]) -> list[Values]:
    """Values of several parts as one kind: whole numbers where all are, otherwise strings."""
    numbers = [_numbers(part) for part in values]
    found = [part for part in numbers if part is not None]
    if len(found) == len(values):
        return found
    return [part.astype(np.str_) for part in values]


def _numbers(values: Values) -> Int64[np.ndarray, " n"] | None:
    """Strings that are whole numbers, as these; None where one is not, "007" among them."""
    if values.dtype.kind != "U":
        return values.astype(np.int64)
    distinct, inverse = np.unique(values, return_inverse=True)
    try:
        numbers = np.array([int(value) for value in distinct.tolist()], dtype=np.int64)
    except (ValueError, OverflowError):
        return None
    if any(str(number) != value for number, value in zip(numbers.tolist(), distinct.tolist(), strict=True)):
        return None
    return None if numbers.size and numbers.min() < 0 else numbers[inverse]


def _text(values: Values) -> Values:
    return np.char.strip(values)
