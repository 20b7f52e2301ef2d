"""Points as data: vectors of numbers that are no pixels, such as the features of a network.

A point of d numbers goes where an image goes, as (d, 1, 1) in float32. Every dimension is a channel.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Shaped

from data.image_set import DataError, ImageSet
from data.label_values import Values
from data.names import Names
from data.parts import Part, assemble, chosen
from data.reading import WasRead

Array = Shaped[np.ndarray, "..."]  # of any dtype

FEATURES = {"feature", "features", "embedding", "embeddings", "point", "points"}
"""What arrays and columns are called whose rows are points."""
NAMES = {"name", "names", "file", "files", "filename", "filenames", "path", "paths"}
"""What arrays and columns are called that say which file each row is of."""
FORM = (
    "Points are numbers, (n, d), a row a point: `features` of an .npz file, beside it if wanted `labels`, (n,), and "
    "`names`, (n,), strings; an .npy file of fractions; or a .parquet file with a column `features` of lists, or with "
    "columns of fractions."
)


@dataclass(frozen=True)
class Points:
    """One split as a file has it.

    Attributes:
        names: of its points: "points.npz[17]", or what the file says.
        where: how messages call it, with the file's path.
        values: (n, d).
        labels: (n,), as the file has them, or None.
        notes: what was decided in reading, for people.
    """

    names: Names
    where: str
    values: Float32[np.ndarray, "n d"]
    labels: Values | None = None
    notes: tuple[str, ...] = ()


def as_points(array: Array, where: str) -> Float32[np.ndarray, "n d"]:
    """The rows of an array as points; float32 is not copied.

    Raises DataError for what is no table of finite numbers.
    """
    if array.ndim != 2 or array.dtype.kind not in "buif" or not array.shape[1]:
        raise DataError(f"{where} holds {array.dtype} of shape {array.shape}. {FORM}")
    with np.errstate(over="ignore"):  # what is too large becomes infinite, and is refused
        values: Float32[np.ndarray, "n d"] = array.astype(np.float32, copy=False)
    # Of NaN the least and the largest number are NaN.
    if values.size and not np.isfinite([values.min(), values.max()]).all():
        raise DataError(f"{where} holds numbers that are NaN, infinite or too large. {FORM}")
    return values


def names_of(rows: Sequence[str] | Array | None, file: str, count: int, where: str) -> Names:
    """The points' names: what the file says, or its rows.

    Raises DataError where the file does not name every point.
    """
    if rows is None:
        return Names.rows(file, count)
    if len(rows) != count:
        raise DataError(f"{where} has {count:,} points but {len(rows):,} names.")
    return Names.of([os.fsdecode(row) if isinstance(row, bytes) else str(row) for row in rows])


def point_set(
    path: Path, split: str, found: Mapping[str, Points], remedy: str, class_names: tuple[str, ...] = ()
) -> ImageSet:
    """The points of `split`, with labels if all its parts have them.

    Args:
        path: what the user named.
        split: "train", "validation", "test" or "all".
        found: every split that there is.
        remedy: what ends the error where there is no such split.
        class_names: the name of every class, by label; without them classes are named after their values.

    Raises DataError for that, for splits of different dimensions, and for labels that are not one a point.
    """
    wanted = chosen(found, split, path, remedy)
    for part in wanted.values():
        if part.labels is not None and len(part.labels) != len(part.values):
            raise DataError(f"{part.where} has {len(part.values):,} points but {len(part.labels):,} labels.")
    dimensions = {part.values.shape[1]: part.where for part in wanted.values()}
    if len(dimensions) > 1:
        told = " and ".join(f"{count} in {where}" for count, where in dimensions.items())
        raise DataError(f"{path} has points of different numbers of dimensions: {told}.")
    notes = tuple(dict.fromkeys(note for part in wanted.values() for note in part.notes))
    count = sum(len(part.values) for part in found.values())
    was_read = WasRead(str(path), count, count, dimensions=next(iter(dimensions)), notes=notes)
    parts = [
        Part(name, part.names, part.where, part.values[:, :, None, None], part.labels) for name, part in wanted.items()
    ]
    elsewhere = [part.labels for name, part in found.items() if name not in wanted and part.labels is not None]
    return assemble(path, split, parts, class_names, elsewhere, was_read)
