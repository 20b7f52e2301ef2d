"""Images from a .csv or .csv.gz file: a row an image, a column a pixel. `csv_layout` says which column is what.

    label,pixel1,pixel2,…,pixel784
    2,0,0,…,0

Images are square, grey or colour, and as large as the number of columns says. Of files side by side whose names differ
in the split alone, such as fashion-mnist_train.csv and fashion-mnist_test.csv, the others are the splits of the first.
"""

from __future__ import annotations

import csv
import gzip
import itertools
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Shaped

from data.array_files import splits_beside
from data.csv_layout import Roles, has_header, roles_of
from data.files import reason, shortened
from data.image_set import DataError, ImageSet
from data.label_values import NONE, Values, values_of
from data.layouts import squares
from data.names import Names
from data.number_parts import Decoded, Numbers, read_numbers
from data.parts import DEFAULT
from data.reading import Reading
from data.unpacked import stacked

FORM = (
    "A .csv file holds a row an image: in a column `label`, if wanted, the class, and in every other column a pixel of "
    "a square image, row by row."
)
REMEDY = (
    "A .csv file is one set of images, the train split; the test split is a file beside it whose name "
    'has "test" in place of "train". Or name the file of the test images itself.'
)
SEPARATORS = ("\t", ";", "|", ",", " ")  # the first that the first line has: a decimal comma comes with another
FRACTION = re.compile(r"\s*[-+]?(\d*[.,]\d*([eE][-+]?\d+)?|\d+[eE][-+]?\d+)\s*")
DECIMAL_COMMA = re.compile(r"-?\d*,\d+")
MISSING = ("", "na", "nan", "null", "none", "?")
BLOCK_BYTES = 2**20
LONGEST_NAME = 24  # bytes, the separator and quotes included; values are shorter
SAMPLE_ROWS = 1000
SAMPLE_FIELDS = 2**21


@dataclass(frozen=True)
class _Layout:
    skip: int  # lines before the first image
    columns: int
    separator: str
    decimal: str
    whole: bool  # as far as the sample goes
    roles: Roles


def load(path: Path, split: str, reading: Reading = DEFAULT) -> ImageSet:
    """The images of the file, (n, c, h, h), with labels if it has them.

    "all" is every split that lies beside the file. Classes are named after the label values that occur in any.
    Raises DataError for files that are damaged or of another form, and for a split that is not there.
    """
    files = {"train": path, **splits_beside(path)}

    def decode() -> Decoded:
        return Decoded({name: _numbers(file, reading) for name, file in files.items()})

    return read_numbers(path, split, list(files.values()), decode, reading, REMEDY)


def _numbers(path: Path, reading: Reading) -> Numbers:
    layout = _layout(path, labelled=reading.labels == "auto")
    roles = layout.roles
    labels: list[str] = []
    laid = squares(_pixels(path, layout, labels), str(path))
    values = None
    if roles.label is not None and reading.labels != "none":
        values = _labels(labels, path)
    notes = [note for note in (roles.note, laid.note if laid.images.shape[1] == 3 else None) if note]
    return Numbers(Names.rows(path.name, len(laid.images)), str(path), laid.images, values, tuple(notes))


def _labels(fields: list[str], path: Path) -> Values:
    """The labels, whole numbers also where they are written as 3.0."""
    stripped = np.char.strip(np.array(fields, dtype=np.str_))
    distinct, inverse = np.unique(stripped, return_inverse=True)
    missing = [value for value in distinct.tolist() if value.lower() in MISSING]
    if missing:
        row = stripped.tolist().index(missing[0])
        raise DataError(f"{path}: image {row} has no label, but {missing[0]!r}. {NONE}")
    try:
        numbers = np.array([float(value) for value in distinct.tolist()])
    except ValueError:
        return values_of(stripped, f"{path}: the label")
    beyond = [value for value, number in zip(distinct.tolist(), numbers, strict=True) if abs(number) >= 2**53]
    if beyond:
        raise DataError(f"{path}: the label {shortened(beyond[0])} is too large a number. {NONE}")
    return values_of(numbers[inverse], f"{path}: the label")


def _layout(path: Path, labelled: bool) -> _Layout:
    """What the columns are, as the first lines tell."""
    opened = gzip.open if path.name.lower().endswith(".gz") else open
    try:
        with opened(path, "rt", encoding="utf-8-sig", newline="") as file:
            line = next((line for line in file if line.strip()), "")
            separator = next((mark for mark in SEPARATORS if mark in re.sub('"[^"]*"', "", line.strip())), ",")
            file.seek(0)
            reader = csv.reader(file, delimiter=separator)
            first = next((row for row in reader if row), None)
            lines = reader.line_num
            rows = max(10, min(SAMPLE_ROWS, SAMPLE_FIELDS // max(1, len(first or ""))))
            sample = [row for row in itertools.islice(reader, rows) if row]
    except (OSError, EOFError, ValueError, csv.Error, zlib.error) as error:
        raise DataError(f"{path} cannot be read ({reason(error, path)}). {FORM}") from error
    if first is None:
        raise DataError(f"{path} is empty. {FORM}")
    header = has_header(first, sample)
    names = first if header else None
    images = sample if header else [first, *sample]
    roles = roles_of(names, len(first), images, str(path), FORM, labelled)
    fields = [row[column] for row in images[:100] for column in roles.pixels if column < len(row)]
    decimal = "," if separator != "," and any(map(DECIMAL_COMMA.fullmatch, fields)) else "."
    whole = not any(map(FRACTION.fullmatch, fields))
    return _Layout(lines if header else 0, len(first), separator, decimal, whole, roles)


def _pixels(path: Path, layout: _Layout, labels: list[str]) -> Shaped[np.ndarray, "n pixels"]:
    """The rows of pixels, uint8 or else float32, nothing missing. `labels` gets the label of each, if any, as text."""
    import pyarrow as pa  # late, because only files of tables need it

    errors = []
    for kind in (pa.uint8(), pa.float32()) if layout.whole else (pa.float32(),):
        try:
            return stacked(partial(_blocks, path, layout, kind, labels))
        except (pa.ArrowException, OSError) as error:
            errors.append(error)
    raise DataError(f"{path} cannot be read ({reason(errors[0], path)}). {FORM}") from errors[0]


def _blocks(path: Path, layout: _Layout, kind: Any, labels: list[str]) -> Iterator[Shaped[np.ndarray, "_ pixels"]]:
    labels.clear()
    pixels, empty = len(layout.roles.pixels), True
    for batch in _converted(path, layout, kind):
        if layout.roles.label is not None:
            labels += batch.column(pixels).to_pylist()
        empty = False
        yield np.ascontiguousarray(np.stack([batch.column(i).to_numpy() for i in range(pixels)]).T)
    if empty:
        yield np.empty((0, pixels), dtype=kind.to_pandas_dtype())


def _converted(path: Path, layout: _Layout, kind: Any) -> Any:
    """The batches of the file's table: the pixels, then the label, if any."""
    import pyarrow as pa
    import pyarrow.csv

    names = [str(column) for column in range(layout.columns)]
    roles = layout.roles
    kept = roles.pixels if roles.label is None else (*roles.pixels, roles.label)
    return pyarrow.csv.open_csv(
        path,
        read_options=pyarrow.csv.ReadOptions(
            # One thread is as fast with this many columns, and errors then name the row.
            use_threads=False,
            # A block must hold a whole row.
            block_size=max(BLOCK_BYTES, LONGEST_NAME * layout.columns),
            column_names=names,
            skip_rows=layout.skip,
        ),
        parse_options=pyarrow.csv.ParseOptions(delimiter=layout.separator),
        convert_options=pyarrow.csv.ConvertOptions(
            column_types={names[column]: pa.string() if column == roles.label else kind for column in kept},
            null_values=[],
            decimal_point=layout.decimal,
            include_columns=[names[column] for column in kept],
        ),
    )
