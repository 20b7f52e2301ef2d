"""Images from a .csv or .csv.gz file in Kaggle's layout: a row an image, a column a pixel.

    label,pixel1,pixel2,…,pixel784
    2,0,0,…,0

Images are square and grey, and as large as the number of columns says. Without a header line the first column is
the label, if there is one more than pixels. Of two files side by side whose names differ in "train" and "test"
alone, such as fashion-mnist_train.csv and fashion-mnist_test.csv, the second is the test split of the first.
"""

from __future__ import annotations

import csv
import gzip
import math
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int64, UInt8

from data.files import is_file, reason
from data.image_set import DataError, ImageSet
from data.parts import Part, assemble_split, name_of_test

FORM = (
    "A .csv file holds a row an image: in a column `label` (the first, if there is no header line) an integer from 0, "
    "if wanted, and in every other column a pixel of a square grey image, row by row, an integer from 0 to 255."
)
SEPARATORS = {"the semicolon ;": ";", "the tab": "\t", "the vertical bar |": "|", "the space": " "}
BLOCK_BYTES = 2**20
LONGEST_NAME = 24  # bytes, the comma and quotes included; values are shorter


@dataclass(frozen=True)
class _Layout:
    skip: int  # lines before the first image
    columns: int
    label: int | None  # the label's column
    side: int  # of an image, in pixels


def load(path: Path, split: str) -> ImageSet:
    """The images of the file, (n, 1, h, h), with labels if it has them.

    "all" is "train" followed by "test", if that is there. Classes are named after the label values that occur in
    either. Raises DataError for files that are damaged or of another form, and for a split that is not there.
    """
    remedy = (
        "A .csv file is one set of images, the train split; the test split is a file beside it whose name "
        'has "test" in place of "train". Or name the file of the test images itself.'
    )
    return assemble_split(path, split, _files(path), remedy, _part, _label_values)


def _files(path: Path) -> dict[str, Path]:
    sibling = name_of_test(path.name)
    if sibling is not None and is_file(path.with_name(sibling)):
        return {"train": path, "test": path.with_name(sibling)}
    return {"train": path}


def _part(path: Path) -> Part:
    layout = _layout(path)
    table = _table(path, layout, range(layout.columns))
    pixels = np.empty((layout.side**2, table.num_rows), dtype=np.uint8)
    for row, column in enumerate(column for column in range(layout.columns) if column != layout.label):
        pixels[row] = table.column(column).to_numpy()
    images: UInt8[np.ndarray, "n c h w"] = np.ascontiguousarray(pixels.T).reshape(-1, 1, layout.side, layout.side)
    values = None if layout.label is None else table.column(layout.label).to_numpy()
    return Part(path, images, values)


def _label_values(path: Path) -> Int64[np.ndarray, " n"] | None:
    layout = _layout(path)
    if layout.label is None:
        return None
    values: Int64[np.ndarray, " n"] = _table(path, layout, [layout.label]).column(0).to_numpy()
    return values


def _layout(path: Path) -> _Layout:
    """What the columns are, as the first line tells."""
    opened = gzip.open if path.name.lower().endswith(".gz") else open
    try:
        with opened(path, "rt", encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file)
            first = next((row for row in reader if row), None)
            lines = reader.line_num
    except (OSError, EOFError, ValueError, csv.Error, zlib.error) as error:
        raise DataError(f"{path} cannot be read ({reason(error, path)}). {FORM}") from error
    if first is None:
        raise DataError(f"{path} is empty. {FORM}")
    _refuse_other_separators(first, path)
    # A number that is missing or misspelt in between makes no header of the first image.
    header = _is_text(first[0]) or _is_text(first[-1])
    columns = len(first)
    label = _label_column(first, path) if header else _label_column_by_count(columns)
    pixels = columns - (label is not None)
    side = math.isqrt(pixels)
    if pixels == 0 or side**2 != pixels:
        found = "none of them the label" if label is None else "one of them the label"
        raise DataError(
            f"{path} has {columns} columns, {found}; {pixels} pixels make no square image. {FORM} "
            "Take other columns out."
        )
    return _Layout(lines if header else 0, columns, label, side)


def _refuse_other_separators(first: list[str], path: Path) -> None:
    line = ",".join(first)
    name, mark = max(SEPARATORS.items(), key=lambda item: line.count(item[1]))
    if line.count(mark) > line.count(","):
        raise DataError(f"{path} has {name} as its separator. Columns must be separated by commas: save it so.")


def _label_column(names: list[str], path: Path) -> int | None:
    found = [column for column, name in enumerate(names) if name.strip().lower() == "label"]
    if len(found) > 1:
        raise DataError(f"{path} has {len(found)} columns named `label`. {FORM}")
    return found[0] if found else None


def _label_column_by_count(columns: int) -> int | None:
    return 0 if columns > 1 and math.isqrt(columns - 1) ** 2 == columns - 1 else None


def _is_text(field: str) -> bool:
    try:
        float(field or "0")
    except ValueError:
        return True
    return False


def _table(path: Path, layout: _Layout, columns: range | list[int]) -> Any:
    """The pyarrow table of these columns: pixels as uint8, labels as int64, nothing missing."""
    import pyarrow as pa  # late, because only files of tables need it
    import pyarrow.csv

    names = [str(column) for column in range(layout.columns)]
    types = {name: pa.int64() if column == layout.label else pa.uint8() for column, name in enumerate(names)}
    try:
        return pyarrow.csv.read_csv(
            path,
            read_options=pyarrow.csv.ReadOptions(
                # One thread is as fast with this many columns, and errors then name the row.
                use_threads=False,
                # A block must hold a whole row.
                block_size=max(BLOCK_BYTES, LONGEST_NAME * layout.columns),
                column_names=names,
                skip_rows=layout.skip,
            ),
            convert_options=pyarrow.csv.ConvertOptions(
                column_types=types,
                null_values=[],
                include_columns=[names[column] for column in columns],
            ),
        )
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path} cannot be read ({reason(error, path)}). {FORM}") from error
