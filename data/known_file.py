"""What is known of some images, from a CSV file. Its header says of which kind it is; other columns are not looked at.

    file,label              index,label             first,second,link
    cats/a.png,cat          17,cat                  cats/a.png,cats/b.png,must
    dogs/b.png,dog          4,dog                   cats/a.png,dogs/b.png,cannot

Files are called as `predict.py` calls them. An index is an image's position in the training set, from 0 on. A line
without a label says nothing, so that a table of all images may have labels for a few.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from data.files import exists, is_file, reason, shortened
from data.image_set import DataError, ImageSet
from data.known import Known, KnownLabels, KnownPairs, draw_known, known_labels, known_pairs
from system.names import printable

SEPARATORS = (",", ";", "\t")
LINKS = {"must": True, "cannot": False}
FORM = "It is a CSV file with the columns file and label, or index and label, or first, second and link."
EXAMPLES = 3
"""Lines that a message shows."""


class _Line(NamedTuple):
    number: int
    fields: dict[str, str]


def read_known(asked: str | float | None, images: ImageSet, clusters: int, seed: int) -> Known | None:
    """What the setting `known` says of the training images; None where it says nothing.

    Args:
        asked: the path of a file; or a share of the images, whose labels are drawn at random.
        images: the training images. Their own labels are looked at for a draw alone.
        clusters: k.
        seed: of the draw.

    Raises DataError for a file that cannot be read or used, and for images without labels to draw from.
    """
    if not asked:
        return None
    if isinstance(asked, float):
        return draw_known(images, asked, seed, clusters)
    path = Path(asked).expanduser()
    columns, lines = _read(path)
    places = _Places(images, path)
    if {"first", "second", "link"} <= columns:
        return _pairs(lines, places)
    what = "index" if "index" in columns and "file" not in columns else "file"
    if not {what, "label"} <= columns:
        raise DataError(f"{path} has the columns {shortened(', '.join(sorted(columns)))}. {FORM}")
    return _labels(lines, places, what, clusters)


def check_there(asked: str | float | None) -> None:
    """Raises DataError where `known` names a file that is not there: before images are read, which may take long."""
    if isinstance(asked, str):
        path = Path(asked).expanduser()
        try:
            if is_file(path):
                return
            kind = "is no file" if exists(path) else "does not exist"
        except OSError as error:
            kind = f"cannot be read ({reason(error, path)})"
        raise DataError(f"known: {shortened(str(path))} {kind}. {FORM} Or give a share of the images, such as 0.01.")


class _Places:
    """Where the images that a file names stand in the training set."""

    def __init__(self, images: ImageSet, path: Path) -> None:
        self.images, self.path = images, path
        names = images.names
        self.called: Sequence[str] = [f"image {i}" for i in range(len(images))] if names is None else names
        self._by_name: dict[str, int] = {}
        if names is not None:
            self._by_name = {name: position for position, name in enumerate(names)}
            for name, position in list(self._by_name.items()):  # as a gallery shows them
                self._by_name.setdefault(printable(name), position)

    def by_index(self, lines: Sequence[_Line], column: str) -> list[int]:
        """Raises DataError where one is no position of an image."""
        wrong = [line for line in lines if self._index(line.fields[column]) is None]
        if wrong:
            raise self._unknown(wrong, column, f"An index is a number from 0 to {len(self.images) - 1:,}")
        return [int(line.fields[column]) for line in lines]

    def by_name(self, lines: Sequence[_Line], column: str) -> list[int]:
        """Raises DataError where one is the name of no image. Images without names are called by their index."""
        if self.images.names is None:
            return self.by_index(lines, column)
        wrong = [line for line in lines if line.fields[column] not in self._by_name]
        if wrong:
            raise self._unknown(
                wrong, column, f"Their names are as {self.images.names[0]!r}, as predict.py writes them"
            )
        return [self._by_name[line.fields[column]] for line in lines]

    def are_indices(self, lines: Sequence[_Line], columns: Sequence[str]) -> bool:
        """Whether these columns hold numbers alone, and no image is called so."""
        texts = {line.fields[column] for line in lines for column in columns}
        return all(text.strip().isdecimal() for text in texts) and not texts & self._by_name.keys()

    def _index(self, text: str) -> int | None:
        number = text.strip()  # spaces behind commas, as people write them; in a name they may be its own
        return int(number) if number.isdecimal() and int(number) < len(self.images) else None

    def _unknown(self, wrong: Sequence[_Line], column: str, remedy: str) -> DataError:
        shown = ", ".join(f"{shortened(line.fields[column])!r} (line {line.number})" for line in wrong[:EXAMPLES])
        more = f" and {len(wrong) - EXAMPLES:,} more" if len(wrong) > EXAMPLES else ""
        images = f"the {len(self.images):,} training images of {self.images.name} ({self.images.split})"
        return DataError(f"{self.path}: not among {images}: {shown}{more}. {remedy}.")


def _read(path: Path) -> tuple[set[str], list[_Line]]:
    """The columns' names, and the lines that hold something."""
    check_there(str(path))
    try:
        with open(path, encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
            first = next((line for line in file if line.strip()), "")
            if not first:
                raise DataError(f"{path} is empty. {FORM}")
            separator = max(SEPARATORS, key=first.count)
            file.seek(0)
            lines = list(_lines(csv.reader(file, delimiter=separator)))
    except (OSError, csv.Error) as error:
        raise DataError(f"{path} cannot be read ({reason(error, path)}). {FORM}") from error
    if len(lines) < 2:
        raise DataError(f"{path} has a first line and no other. {FORM}")
    head = [name.strip().lower() for name in lines[0][1]]
    rows = [_Line(number, dict(zip(head, [*fields, *[""] * len(head)], strict=False))) for number, fields in lines[1:]]
    return set(head), rows


def _lines(reader: Iterator[list[str]]) -> Iterator[tuple[int, list[str]]]:
    for fields in reader:
        if any(field.strip() for field in fields):
            yield reader.line_num, fields  # type: ignore[attr-defined]


def _labels(lines: Sequence[_Line], places: _Places, column: str, clusters: int) -> KnownLabels:
    labelled = [line for line in lines if line.fields["label"].strip()]
    positions = places.by_index(labelled, column) if column == "index" else places.by_name(labelled, column)
    labels: dict[int, str] = {}
    for position, line in zip(positions, labelled, strict=True):
        label = " ".join(line.fields["label"].split())
        if labels.setdefault(position, label) != label:
            raise DataError(
                f"{places.path}, line {line.number}: {shortened(line.fields[column])!r} is {label!r} here and "
                f"{labels[position]!r} above. An image has one label."
            )
    return known_labels(labels, len(places.images), clusters, str(places.path))


def _pairs(lines: Sequence[_Line], places: _Places) -> KnownPairs:
    wrong = [line for line in lines if line.fields["link"].strip().lower() not in LINKS]
    if wrong:
        raise DataError(
            f"{places.path}, line {wrong[0].number}: the link is {wrong[0].fields['link']!r}; it is must or cannot."
        )
    resolve = places.by_index if places.are_indices(lines, ("first", "second")) else places.by_name
    ends = zip(resolve(lines, "first"), resolve(lines, "second"), strict=True)
    links: dict[tuple[int, int], bool] = {}
    for line, (a, b) in zip(lines, ends, strict=True):
        together = LINKS[line.fields["link"].strip().lower()]
        if a == b:
            raise DataError(f"{places.path}, line {line.number}: {places.called[a]} is linked with itself.")
        if links.setdefault((min(a, b), max(a, b)), together) != together:
            raise DataError(
                f"{places.path}, line {line.number}: {places.called[a]} and {places.called[b]} are linked by must and "
                "by cannot. Take one of the lines out."
            )
    return known_pairs(links, str(places.path), places.called)
