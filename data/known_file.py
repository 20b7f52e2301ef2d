"""What is known of some images, from a CSV file. Its header says of which kind it is; other columns are not looked at.

    file,label              index,label             first,second,link
    cats/a.png,cat          17,cat                  cats/a.png,cats/b.png,must
    dogs/b.png,dog          4,dog                   cats/a.png,dogs/b.png,cannot

Files are called as `predict.py` calls them. An index is an image's position in the training set, from 0 on. A line
without a label says nothing, so that a table of all images may have labels for a few. A line that names another image
of the same data set, one that is held out, is skipped: what is known of it reaches no training.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import NamedTuple

from configs.schema import RunConfig
from data.files import exists, is_file, reason, shortened
from data.image_set import DataError, ImageSet
from data.known import Known, KnownLabels, KnownPairs, draw_known, known_labels, known_pairs
from data.names import path_ends
from data.prepare import all_names
from system.names import printable

SEPARATORS = (",", ";", "\t")
ZIP = b"PK\x03\x04"
COLUMNS = ("file", "index", "label", "first", "second", "link")
LINKS = {"must": True, "cannot": False}
FORM = "It is a CSV file with the columns file and label, or index and label, or first, second and link."
WHOLE = re.compile(r"\s*(\d+)(?:[.,]0*)?\s*")
"""A whole number, also as programs write a column that has gaps: 17.0."""
EXAMPLES = 3
"""Lines that a message shows."""
HELD_OUT = -1
"""The place of an image of the data set that is none of the training images."""


class _Line(NamedTuple):
    number: int
    fields: dict[str, str]


def known_of(
    config: RunConfig,
    images: ImageSet,
    tell: Callable[[str], None] = lambda note: None,
    data_root: Path | None = None,
) -> Known | None:
    """What a run's setting `known` says of its training images; see `read_known`.

    Args:
        config: of the run.
        images: the training images.
        tell: hears what a table must say besides.
        data_root: a folder to search first for a named data set.
    """
    whole = partial(all_names, config.data, data_root)
    return read_known(config.known, images, config.clusters, config.seed, whole, tell)


def read_known(
    asked: str | float | None,
    images: ImageSet,
    clusters: int,
    seed: int,
    whole: Callable[[], Iterable[str]] = tuple,
    tell: Callable[[str], None] = lambda note: None,
) -> Known | None:
    """What the setting `known` says of the training images; None where it says nothing.

    Args:
        asked: the path of a file; or a share of the images, whose labels are drawn at random.
        images: the training images. Their own labels are looked at for a draw alone.
        clusters: k.
        seed: of the draw.
        whole: the names of all images of the data set, held out or not; asked for where the file has one that no
            training image has.
        tell: hears what a table must say besides: how many lines were skipped.

    Raises DataError for a file that cannot be read or used, and for images without labels to draw from.
    """
    if not asked:
        return None
    if isinstance(asked, float):
        return draw_known(images, asked, seed, clusters)
    path = Path(asked).expanduser()
    columns, lines = _read(path)
    places = _Places(images, path, whole, tell)
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
    """Where the images that a file names stand in the training set; `HELD_OUT` where they are no training images."""

    def __init__(
        self, images: ImageSet, path: Path, whole: Callable[[], Iterable[str]], tell: Callable[[str], None]
    ) -> None:
        self.images, self.path, self._whole, self._tell = images, path, whole, tell
        names = images.names
        self.called: Sequence[str] = [f"image {i}" for i in range(len(images))] if names is None else names
        self._by_name: dict[str, int] = {}
        if names is not None:
            self._by_name = {name: position for position, name in enumerate(names)}
            for name, position in list(self._by_name.items()):  # as a gallery shows them
                self._by_name.setdefault(printable(name), position)

    def by_index(self, lines: Sequence[_Line], column: str) -> list[int]:
        """Raises DataError where one is no position of an image."""
        return self._found(lines, column, self._index, f"An index is a number from 0 to {len(self.images) - 1:,}")

    def by_name(self, lines: Sequence[_Line], column: str) -> list[int]:
        """Raises DataError where one is the name of no image. Images without names are called by their index."""
        if self.images.names is None:
            return self.by_index(lines, column)
        remedy = f"Their names are as {self.images.names[0]!r}, as predict.py writes them"
        return self._found(lines, column, self._named, remedy)

    def are_indices(self, lines: Sequence[_Line], columns: Sequence[str]) -> bool:
        """Whether these columns hold numbers alone, and no image is called so."""
        texts = {line.fields[column] for line in lines for column in columns}
        return all(WHOLE.fullmatch(text) for text in texts) and not texts & self._by_name.keys()

    def fitted(self, lines: Sequence[_Line], *ends: Sequence[int]) -> list[tuple[_Line, tuple[int, ...]]]:
        """The lines all of whose images are training images, with the places of these. Tells how many others are."""
        placed = list(zip(lines, zip(*ends, strict=True), strict=True))
        found = [(line, places) for line, places in placed if HELD_OUT not in places]
        if placed and not found:
            trained = f"the training images of {self.images.name} ({self.images.split})"
            raise DataError(f"{self.path}: all images here are held out, none is among {trained}.")
        if skipped := len(placed) - len(found):
            name = shortened(printable(self.path.name))
            self._tell(f"{skipped:,} line{'s' if skipped > 1 else ''} of {name} skipped: of images that are held out")
        return found

    def _index(self, text: str) -> int | None:
        whole = WHOLE.fullmatch(text)
        return int(whole[1]) if whole and int(whole[1]) < len(self.images) else None

    def _named(self, text: str) -> int | None:
        """The image of this name, be it with backslashes, from above its folder on, or its end if one alone has it.

        A whole name goes before the end of one. No image that is held out lends its label to a training image whose
        name ends alike.
        """
        if text in self._by_name:
            return self._by_name[text]
        ends = path_ends(text.strip())
        folder = path_ends(self.images.name)[-1]
        below = [end for end in ends[1:] if ends[0].removesuffix(f"/{end}").rpartition("/")[2] == folder]
        names = (text, ends[0], *below)
        whole = next((name for name in names if name in self._by_name), None)
        if whole is not None:
            return self._by_name[whole]
        return HELD_OUT if any(name in self._held_out for name in names) else self._by_end.get(ends[0])

    @cached_property
    def _held_out(self) -> frozenset[str]:
        """The names of the other images of the data set, also as a gallery shows them."""
        names = [name for name in self._whole() if name not in self._by_name]
        return frozenset((*names, *map(printable, names))) - self._by_name.keys()

    @cached_property
    def _by_end(self) -> dict[str, int | None]:
        """The image whose name ends so; None where several do, but for images that are all held out."""
        found: dict[str, int | None] = {}
        for name, position in (*self._by_name.items(), *((name, HELD_OUT) for name in self._held_out)):
            for end in path_ends(name)[1:]:
                found[end] = position if found.get(end, position) == position else None
        return found

    def _found(self, lines: Sequence[_Line], column: str, find: Callable[[str], int | None], remedy: str) -> list[int]:
        """The positions that `find` gives for the fields of a column. Raises DataError where it gives none."""
        found = [(line, find(line.fields[column])) for line in lines]
        if wrong := [line for line, position in found if position is None]:
            raise self._unknown(wrong, column, remedy)
        return [position for _, position in found if position is not None]

    def _unknown(self, wrong: Sequence[_Line], column: str, remedy: str) -> DataError:
        shown = ", ".join(f"{shortened(line.fields[column])!r} (line {line.number})" for line in wrong[:EXAMPLES])
        more = f" and {len(wrong) - EXAMPLES:,} more" if len(wrong) > EXAMPLES else ""
        images = f"the {len(self.images):,} training images of {self.images.name} ({self.images.split})"
        return DataError(f"{self.path}: not among {images}: {shown}{more}. {remedy}.")


def _read(path: Path) -> tuple[set[str], list[_Line]]:
    """The columns' names, and the lines that hold something."""
    check_there(str(path))
    try:
        content = path.read_bytes()
        if content.startswith(ZIP):
            raise DataError(f"{path} is a spreadsheet or an archive: save it as CSV. {FORM}")
        encoding = "utf-16" if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig"
        text = content.decode(encoding, errors="surrogateescape" if encoding == "utf-8-sig" else "replace")
        first = next((line for line in text.splitlines() if line.strip()), "")
        if not first:
            raise DataError(f"{path} is empty. {FORM}")
        separator = max(SEPARATORS, key=first.count)
        lines = list(_lines(csv.reader(io.StringIO(text, newline=""), delimiter=separator)))
    except (OSError, csv.Error) as error:
        raise DataError(f"{path} cannot be read ({reason(error, path)}). {FORM}") from error
    if len(lines) < 2:
        raise DataError(f"{path} has a first line and no other. {FORM}")
    head = [name.strip().lower() for name in lines[0][1]]
    if twice := next((name for name in COLUMNS if head.count(name) > 1), None):
        raise DataError(f"{path} has {head.count(twice)} columns called {twice}: take out all but one.")
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
    for line, (position,) in places.fitted(labelled, positions):
        label = " ".join(_as_text(line.fields["label"]).split())
        if labels.setdefault(position, label) != label:
            raise DataError(
                f"{places.path}, line {line.number}: {shortened(line.fields[column])!r} is {label!r} here and "
                f"{labels[position]!r} above. An image has one label."
            )
    return known_labels(labels, len(places.images), clusters, str(places.path))


def _as_text(field: str) -> str:
    """What is no UTF-8 is read as spreadsheets of Windows write it."""
    try:
        field.encode()
    except UnicodeEncodeError:
        return field.encode("utf-8", "surrogateescape").decode("cp1252", "replace")
    return field


def _pairs(lines: Sequence[_Line], places: _Places) -> KnownPairs:
    wrong = [line for line in lines if line.fields["link"].strip().lower() not in LINKS]
    if wrong:
        raise DataError(
            f"{places.path}, line {wrong[0].number}: the link is {wrong[0].fields['link']!r}; it is must or cannot."
        )
    alone = [line for line in lines if not (line.fields["first"].strip() and line.fields["second"].strip())]
    if alone:
        raise DataError(f"{places.path}, line {alone[0].number}: a link is one of two images, first and second.")
    resolve = places.by_index if places.are_indices(lines, ("first", "second")) else places.by_name
    links: dict[tuple[int, int], bool] = {}
    for line, (a, b) in places.fitted(lines, resolve(lines, "first"), resolve(lines, "second")):
        together = LINKS[line.fields["link"].strip().lower()]
        if a == b:
            raise DataError(f"{places.path}, line {line.number}: {places.called[a]} is linked with itself.")
        if links.setdefault((min(a, b), max(a, b)), together) != together:
            raise DataError(
                f"{places.path}, line {line.number}: {places.called[a]} and {places.called[b]} are linked by must and "
                "by cannot. Take one of the lines out."
            )
    return known_pairs(links, str(places.path), places.called)
