"""Points from .parquet files: a column `features` of lists, or columns of fractions, and if wanted labels and names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from data.csv_layout import INDICES, LABELS
from data.image_set import DataError
from data.label_values import alike, values_of
from data.names import Names
from data.parquet_columns import IMAGES, can_hold_images
from data.parquet_rows import as_array, batches, schema_of
from data.points import FEATURES, FORM, NAMES, Array, Points, as_points, names_of
from data.reading import Reading


@dataclass(frozen=True)
class PointColumns:
    """The names of the columns.

    Attributes:
        features: one column of lists, or those of one number each, in their order.
        label: of the classes, or None.
        name: of the rows' own names, or None.
        others: what is not read.
    """

    features: tuple[str, ...]
    label: str | None
    name: str | None
    others: tuple[str, ...]


def point_columns(schema: Any, path: Path, reading: Reading) -> PointColumns | None:
    """Which columns are points; None where the table holds images, or neither.

    Args:
        schema: pyarrow's.
        path: of the file, for messages.
        reading: how the user wants it read. Kind points: any column of lists, and whole numbers as well as fractions.

    Raises DataError where two columns have one role.
    """
    wanted = reading.kind == "points"
    called = {field.name: field.name.lower() for field in schema}
    labels = [name for name, low in called.items() if low in LABELS]
    names = [name for name, low in called.items() if low in NAMES]
    lists = [field.name for field in schema if _is_list(field.type)]
    features = [name for name in lists if called[name] in FEATURES] or (lists if wanted else [])
    if not wanted and any(low in IMAGES for name, low in called.items() if name not in features):
        return None
    if not features and not can_hold_images(schema):
        apart = {*labels, *names, *(name for name, low in called.items() if low in INDICES)}
        features = [field.name for field in schema if field.name not in apart and _is_number(field.type, wanted)]
    if not features or (not wanted and _holds_bytes(schema)):
        return None
    if features[0] in lists and len(features) > 1:
        raise DataError(f"{path} has several columns of points: {', '.join(features)}. Keep one. {FORM}")
    for role, found in (("label", labels), ("name", names)):
        if len(found) > 1:
            raise DataError(f"{path} has the columns {', '.join(found)}, and one can be the {role}. Keep one. {FORM}")
    label = labels[0] if labels and reading.labels != "none" else None
    name = names[0] if names else None
    others = tuple(other for other in schema.names if other not in (*features, label, name))
    return PointColumns(tuple(features), label, name, others)


def without_whole_numbers(schema: Any) -> Any:
    """The schema without columns of single whole numbers: they may be classes, whatever they are called."""
    from pyarrow import schema as schema_with
    from pyarrow import types

    return schema_with([field for field in schema if not types.is_integer(field.type)])


def points_of(files: Mapping[str, Sequence[Path]], columns: PointColumns) -> dict[str, Points]:
    """Every split, whose files all have these columns.

    Raises DataError for what is no table of numbers.
    """
    return {split: _split(own, columns) for split, own in files.items() if own}


def _split(files: Sequence[Path], columns: PointColumns) -> Points:
    names, values, labels = Names([]), [], []
    for file in files:
        missing = [name for name in (*columns.features, columns.label, columns.name) if name not in _names(file)]
        if missing := [name for name in missing if name is not None]:
            raise DataError(f"{file} has no column {', '.join(missing)}, as other files of its set do. {FORM}")
        read = [_column(file, name) for name in columns.features]
        where = f"{file}: `{columns.features[0]}`"
        values.append(as_points(read[0] if read[0].ndim == 2 else np.column_stack(read), where))
        rows = None if columns.name is None else _column(file, columns.name)
        names = names + names_of(rows, file.name, len(values[-1]), where)
        if columns.label is not None:
            labels.append(values_of(_column(file, columns.label), f"{file}: `{columns.label}`"))
    if len({part.shape[1] for part in values}) > 1:
        raise DataError(f"{files[0]} and others of its set have points of different numbers of dimensions. {FORM}")
    notes = tuple(f"the column `{name}` was not read" for name in columns.others)
    together = np.concatenate(alike(labels)) if labels else None
    return Points(names, str(files[0]), np.concatenate(values), together, notes)


def _column(file: Path, name: str) -> Array:
    parts = [as_array(batch.column(0), f"{file}: `{name}`") for batch in batches(file, [name])]
    if len({part.shape[1:] for part in parts}) > 1:
        raise DataError(f"{file}: `{name}` holds lists of different lengths. {FORM}")
    joined: Array = np.concatenate(parts) if parts else np.empty((0, 1), dtype=np.float32)
    return joined


def _names(file: Path) -> list[str | None]:
    return list(schema_of(file).names)


def _is_list(kind: Any) -> bool:
    from pyarrow import types

    return bool(
        (types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind))
        and _is_number(kind.value_type, whole=True)
    )


def _is_number(kind: Any, whole: bool) -> bool:
    from pyarrow import types

    return bool(types.is_floating(kind) or (whole and types.is_integer(kind)))


def _holds_bytes(schema: Any) -> bool:
    from pyarrow import types

    return any(types.is_binary(field.type) or types.is_struct(field.type) for field in schema)
