"""The rows of .parquet files: in batches, as arrays, and one by one as pictures."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate
from pathlib import Path
from threading import Lock
from typing import Any, overload

import numpy as np

from data.decode import Unreadable
from data.files import reason
from data.image_set import DataError
from data.label_values import NONE
from data.levels import Array
from data.parquet_columns import FORM
from data.pictures import Picture

ROWS_AT_ONCE = 1024
BATCHES_KEPT = 8  # of encoded pictures; threads that decode are fewer rows apart than these hold


class PictureRows(Sequence[Picture]):
    """The pictures in the columns of several files, one after another, read in batches as they are asked for."""

    def __init__(self, columns: Sequence[tuple[Path, str, int]]) -> None:
        """`columns`: the file, the column's name and the number of rows, of each file."""
        self._columns = [_Column(path, name) for path, name, _ in columns]
        self._starts = [0, *accumulate(rows for _, _, rows in columns)]
        times = [path.stat() for path, _, _ in columns]
        self.stamp = [
            (str(path.resolve()), name, time.st_size, time.st_mtime_ns)
            for (path, name, _), time in zip(columns, times, strict=True)
        ]

    def __len__(self) -> int:
        return self._starts[-1]

    @overload
    def __getitem__(self, position: int) -> Picture: ...
    @overload
    def __getitem__(self, position: slice) -> Sequence[Picture]: ...
    def __getitem__(self, position: int | slice) -> Picture | Sequence[Picture]:
        if isinstance(position, slice):
            return [self[i] for i in range(len(self))[position]]
        if not 0 <= position < len(self):
            raise IndexError(position)
        at = bisect_right(self._starts, position) - 1
        column, row = self._columns[at], position - self._starts[at]
        return Picture(f"{column.path.name}[{row}]", lambda: column.content(row))


class _Column:
    """The bytes of the pictures in a column, for threads that ask for rows nearly in order."""

    def __init__(self, path: Path, name: str) -> None:
        self.path = path
        self._name = name
        self._lock = Lock()
        self._kept: list[tuple[int, list[bytes | None]]] = []  # the first row of each batch, and the batch
        self._coming = iter(())  # type: Iterator[Any]
        self._next = 0

    def content(self, row: int) -> bytes:
        """The bytes in this row. Raises Unreadable where there are none, and DataError where the file is damaged."""
        with self._lock:
            if row < (self._kept[0][0] if self._kept else 0) or not self._kept:
                self._coming, self._next, self._kept = batches(self.path, [self._name]), 0, []
            while row >= self._next:
                found = _bytes_in(next(self._coming).column(0))
                self._kept = [*self._kept[1 - BATCHES_KEPT :], (self._next, found)]
                self._next += len(found)
            start, found = next(kept for kept in reversed(self._kept) if kept[0] <= row)
            content = found[row - start]
        if content is None:
            raise Unreadable("no bytes in the table")
        return content


def _bytes_in(column: Any) -> list[bytes | None]:
    import pyarrow as pa
    import pyarrow.compute

    if isinstance(column, pa.ExtensionArray):
        column = column.storage
    if pa.types.is_struct(column.type):
        column = pyarrow.compute.struct_field(column, "bytes")
    contents: list[bytes | None] = column.to_pylist()
    return contents


def as_array(column: Any, where: str) -> Array:
    """A column of numbers or strings as an array; lists of equal lengths become axes.

    Raises DataError where something is missing.
    """
    import pyarrow as pa
    from pyarrow import types

    if isinstance(column, pa.ExtensionArray):
        column = column.storage
    if types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if column.null_count:
        raise DataError(f"{where}: {column.null_count} of {len(column)} are missing. {FORM} {NONE}")
    if types.is_fixed_size_list(column.type) or types.is_list(column.type) or types.is_large_list(column.type):
        lengths = set(column.value_lengths().to_pylist())
        if len(lengths) > 1:
            raise DataError(f"{where} holds lists of different lengths: {min(lengths)} to {max(lengths)}. {FORM}")
        inner = as_array(column.flatten(), where)
        return inner.reshape(len(column), lengths.pop() if lengths else 0, *inner.shape[1:])
    if types.is_string(column.type) or types.is_large_string(column.type):
        return np.array(column.to_pylist(), dtype=np.str_)
    array: Array = column.to_numpy(zero_copy_only=False)
    return array


def schema_of(path: Path) -> Any:
    with opened(path) as file:
        return file.schema_arrow


def opened(path: Path) -> Any:
    import pyarrow.parquet  # late, because only files of tables need it

    try:
        return pyarrow.parquet.ParquetFile(path)
    except MemoryError:
        raise
    except Exception as error:  # Damaged files make pyarrow raise all sorts of things.
        raise DataError(f"{path} cannot be read ({reason(error, path)}). {FORM}") from error


def batches(path: Path, columns: list[str]) -> Iterator[Any]:
    with opened(path) as file:
        batches = file.iter_batches(ROWS_AT_ONCE, columns=columns)
        while True:
            # Only the reading is tried, not what the caller does with a batch.
            try:
                batch = next(batches, None)
            except MemoryError:
                raise
            except Exception as error:
                raise DataError(f"{path} cannot be read ({reason(error, path)}). {FORM}") from error
            if batch is None:
                return
            yield batch
