"""Images from .parquet files, as Hugging Face publishes them: a row an image.

    image   the bytes of an image file, as binary or in a struct with a field `bytes`; or lists of numbers
    label   if wanted; the names of the classes stand in the schema's metadata under `huggingface`

`parquet_columns` says which column is what, `parquet_splits` which files make up a split.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from data.image_set import DataError, ImageSet
from data.label_values import Values, alike, values_of
from data.layouts import images_of
from data.levels import Array
from data.names import Names
from data.number_parts import Decoded, Numbers, read_numbers
from data.parquet_columns import FORM, Columns, can_hold_images, columns_of
from data.parquet_points import point_columns, points_of
from data.parquet_rows import PictureRows, as_array, batches, opened, schema_of
from data.parquet_splits import splits_of, tables_in
from data.parts import DEFAULT, Part, assemble, chosen
from data.pictures import read_pictures
from data.points import point_set
from data.reading import Reading
from data.unpacked import stacked

REMEDY = "The splits are told by the files' names, train….parquet and test….parquet, with other words before or after."


def holds(folder: Path) -> bool:
    """Whether the folder has .parquet files."""
    return bool(tables_in(folder))


def load(path: Path, split: str, reading: Reading = DEFAULT) -> ImageSet:
    """The images of the file or files, (n, c, h, w), with labels if all have them; c is 1 (grey) or 3.

    A file, or folder of files, whose names say nothing of a split is the train split. Without names in the metadata
    the classes are named after the label values that occur in any split. Raises DataError for files that are damaged,
    missing or of another form, and for a split that is not there.
    """
    files = splits_of(path)
    first = next(iter(chosen(files, split, path, REMEDY).values()))[0]
    columns = point_columns(schema_of(first), first, reading)
    if columns is not None:
        return point_set(path, split, points_of(files, columns), REMEDY)
    splits, notes = _splits(files, labelled=reading.labels == "auto")
    tables = [table for each in splits.values() for table in each.tables]
    class_names = _class_names(tables) if reading.labels == "auto" else ()
    kinds = {table.columns.kind for table in tables}
    if kinds == {"numbers"}:

        def decode() -> Decoded:
            told = [*notes, *_notes(splits, tables[0], reading)]
            return Decoded({name: each.numbers(reading, told) for name, each in splits.items()}, class_names)

        every = [file for own in files.values() for file in own]
        return read_numbers(path, split, every, decode, reading, REMEDY)
    notes += _notes(splits, tables[0], reading)
    if len(kinds) > 1:
        raise DataError(f"{path} has images as bytes in some files and as lists of numbers in others. {FORM}")
    return _pictures(path, split, splits, class_names, reading, notes)


def _splits(files: Mapping[str, Sequence[Path]], labelled: bool) -> tuple[dict[str, _Split], list[str]]:
    """The tables of every split, and what is to be said of those that hold no images or say no split."""
    every = [file for own in files.values() for file in own]
    schemas = {file: schema_of(file) for file in every}
    without = [file for file in every if not can_hold_images(schemas[file])]
    if len(without) == len(every):
        without = []  # what is missing is told of the first
    notes = [f"{file.name} holds no images and was not read" for file in without]
    notes += [
        f"{file.name} says no split and is read with all alone"
        for file in files.get("other", [])
        if file not in without
    ]
    tables = {
        name: [_Table(file, columns_of(schemas[file], file, labelled)) for file in own if file not in without]
        for name, own in files.items()
    }
    return {name: _Split(name, own) for name, own in tables.items() if own}, notes


def _notes(splits: Mapping[str, _Split], first: _Table, reading: Reading) -> list[str]:
    """What is to be said of columns."""
    unlabelled = [note for each in splits.values() for note in each.unlabelled()] if reading.labels == "auto" else []
    return [*unlabelled, *(f"the column `{name}` was not read" for name in first.columns.others)]


def _pictures(
    path: Path,
    split: str,
    splits: Mapping[str, _Split],
    class_names: tuple[str, ...],
    reading: Reading,
    notes: list[str],
) -> ImageSet:
    """Images that are kept as the bytes of image files. One size and number of channels is chosen for all splits."""
    wanted = chosen(splits, split, path, REMEDY)
    values = {name: each.values() if reading.labels == "auto" else None for name, each in splits.items()}
    rows = PictureRows(
        [(table.path, table.columns.image, table.rows) for each in splits.values() for table in each.tables]
    )
    if not rows:
        raise DataError(f"{path} holds no images.")
    pixels = read_pictures(rows, reading, str(path), stamp=rows.stamp, notes=notes)
    kept = pixels.kept.numpy()
    parts, start = [], 0
    for name, each in splits.items():
        low, high = np.searchsorted(kept, [start, start + each.rows])
        own = kept[low:high] - start
        start += each.rows
        if name in wanted and len(own):
            labels = values[name]
            images = pixels.images[low:high].numpy()
            where = str(each.tables[0].path)
            parts.append(Part(name, each.names().subset(own), where, images, None if labels is None else labels[own]))
    if not parts:
        raise DataError(f"{path} has no image in {split} that can be read.")
    elsewhere = [labels for name, labels in values.items() if name not in wanted and labels is not None]
    return assemble(path, split, parts, class_names, elsewhere, pixels.was_read)


@dataclass(frozen=True)
class _Table:
    path: Path
    columns: Columns

    @cached_property
    def rows(self) -> int:
        """How many there are."""
        with opened(self.path) as file:
            return int(file.metadata.num_rows)

    @cached_property
    def values(self) -> Values | None:
        """The labels of all rows; None where there are none, or all are -1, as Hugging Face has unknown ones."""
        label = self.columns.label
        if label is None:
            return None
        found = [as_array(batch.column(0), f"{self.path}: `{label}`") for batch in batches(self.path, [label])]
        joined = np.concatenate(found) if found else np.empty(0, dtype=np.int64)
        if joined.dtype.kind in "if" and joined.size and (joined == -1).all():
            return None
        return values_of(joined, f"{self.path}: `{label}`")


@dataclass(frozen=True)
class _Split:
    name: str
    tables: Sequence[_Table]

    @property
    def rows(self) -> int:
        return sum(table.rows for table in self.tables)

    def names(self) -> Names:
        """Of its rows."""
        names = Names([])
        for table in self.tables:
            names = names + Names.rows(table.path.name, table.rows)
        return names

    def values(self) -> Values | None:
        """The labels of its rows; None unless all tables have them."""
        known = alike([table.values for table in self.tables if table.values is not None])
        return np.concatenate(known) if len(known) == len(self.tables) else None

    def unlabelled(self) -> list[str]:
        """Notes of tables that have a column of labels and no label."""
        return [
            f"all labels of {table.path.name} are -1: it has none"
            for table in self.tables
            if table.columns.label is not None and table.values is None
        ]

    def numbers(self, reading: Reading, notes: Sequence[str]) -> Numbers:
        """The images, which are kept as lists of numbers."""
        values = self.values() if reading.labels == "auto" else None
        where = f"{self.tables[0].path}: `{self.tables[0].columns.image}`"
        if not self.rows:
            raise DataError(f"{where} holds no images.")
        laid = images_of(stacked(self._arrays), where, None if values is None else len(values))
        return Numbers(self.names(), where, laid.images, values, (*notes, *([laid.note] if laid.note else [])))

    def _arrays(self) -> Iterator[Array]:
        """The images in batches, of one shape."""
        shapes: set[tuple[int, ...]] = set()
        for table in self.tables:
            where = f"{table.path}: `{table.columns.image}`"
            for batch in batches(table.path, [table.columns.image]):
                array = as_array(batch.column(0), where)
                shapes.add(array.shape[1:])
                if len(shapes) > 1:
                    lengths = ", ".join(map(str, sorted(shapes)))
                    raise DataError(f"{where} holds lists of different lengths: {lengths}. {FORM}")
                yield array


def _class_names(tables: Sequence[_Table]) -> tuple[str, ...]:
    """The names of the classes that the files' metadata give; none where they give none."""
    first, *others = tables
    for other in others:
        if other.columns.class_names != first.columns.class_names:
            raise DataError(f"{first.path} and {other.path} name different classes in their metadata.")
    return first.columns.class_names
