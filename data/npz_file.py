"""Images from an .npz file, as `numpy.savez` writes it. `npz_layouts` says which of its arrays are what."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np

from data import array_cache
from data.array_files import labels_beside, splits_beside, with_labels
from data.files import reason
from data.image_set import DataError, ImageSet
from data.label_values import NONE, Values, values_of
from data.layouts import images_of
from data.levels import Array
from data.names import Names
from data.npz_layouts import Roles, Shape, roles_of
from data.npz_points import point_roles, points_in
from data.number_parts import Decoded, Numbers, read_numbers
from data.parts import DEFAULT
from data.points import Points, point_set
from data.reading import Reading
from data.unpacked import streamed

FORM = (
    "An .npz file holds `images`, (n, h, w), (n, h, w, c), (n, c, h, w) or (n, pixels), as uint8 or other numbers, or "
    "`features`, (n, d), which are points; if wanted `labels`, (n,); and if wanted `class_names`, (k,), strings. "
    "Splits are told by the names: x_train, y_train, x_test, y_test, or train_images, train_labels, and so on."
)
REMEDY = (
    "An .npz file has the splits that its arrays' names say, such as x_train and x_test; or a file beside it whose "
    'name has "test" in place of "train" is its test split.'
)
OBJECTS = (
    "is an array of Python objects, which only unpickling would read, and that can run any program. "
    "Save images of one shape with numpy.stack, and strings with .astype(str)."
)


def load(path: Path, split: str, reading: Reading = DEFAULT) -> ImageSet:
    """The images of the file, (n, c, h, w). Without splits in its arrays' names all its images are "train".

    Arrays that are called features are points, where none is called images. Without `class_names` the classes are named
    after the label values that occur. Nothing is unpickled.
    Raises DataError for a file that is damaged or of another form, and for a split that is not there.
    """
    files = {"train": path, **splits_beside(path)}
    points = _points(path, reading)
    if points is not None:
        found, class_names = points
        if list(found) == ["train"]:
            others = {name: _points(file, reading) for name, file in files.items() if name != "train"}
            found |= {name: other[0]["train"] for name, other in others.items() if other and "train" in other[0]}
        return point_set(path, split, found, REMEDY, class_names)
    return read_numbers(path, split, with_labels(files.values()), lambda: _decoded(files, reading), reading, REMEDY)


def _points(path: Path, reading: Reading) -> tuple[dict[str, Points], tuple[str, ...]] | None:
    """Its points by split, and the classes' names; None for images."""
    with opened(path) as archive:
        roles = point_roles(shapes(archive, path), path, reading)
        return None if roles is None else points_in(roles, path, lambda name: array_in(archive, name, path), reading)


def _decoded(files: Mapping[str, Path], reading: Reading) -> Decoded:
    found, class_names = _splits(files["train"], reading)
    if list(found) == ["train"]:
        for name, file in files.items():
            others = {} if name == "train" else _splits(file, reading)[0]
            # A file of splits of its own is no split of another.
            found |= {name: others["train"]} if list(others) == ["train"] else {}
    return Decoded(found, class_names)


def _splits(path: Path, reading: Reading) -> tuple[dict[str, Numbers], tuple[str, ...]]:
    with opened(path) as archive:
        roles = roles_of(shapes(archive, path), str(path), FORM)
        found = {split: _numbers(archive, split, roles, path, reading) for split in roles.images}
        names = None if roles.class_names is None else array_in(archive, roles.class_names, path)
    if names is None or reading.labels == "none":
        return found, ()
    if names.ndim != 1 or names.dtype.kind not in "US":
        raise DataError(f"{path}: `{roles.class_names}` are {names.dtype} of shape {names.shape}. {FORM}")
    return found, tuple(str(name) for name in names.astype(np.str_).tolist())


def _numbers(archive: Any, split: str, roles: Roles, path: Path, reading: Reading) -> Numbers:
    name = roles.images[split]
    where = f"{path}: `{name}`"
    raw = array_in(archive, name, path)
    values: Values | None = None
    notes = [f"`{other}` was not read" for other in roles.others]
    if reading.labels != "none":
        if split in roles.labels:
            label = roles.labels[split]
            values = values_of(array_in(archive, label, path), f"{path}: `{label}`")
        elif len(roles.images) == 1:
            values = labels_beside(path, _sole_array)
    laid = images_of(raw, where, None if values is None else len(values))
    if laid.note:
        notes.append(laid.note)
    if roles.by_shape:
        labels = f" and `{roles.labels[split]}` as their labels" if split in roles.labels else ""
        notes.append(f"`{name}` was read as the images{labels}")
    rows = Names.rows(path.name if len(roles.images) == 1 else f"{path.name}/{name}", len(laid.images))
    return Numbers(rows, where, laid.images, values, tuple(notes))


def _sole_array(path: Path) -> Array:
    """The one array of an archive of labels."""
    with opened(path) as archive:
        if len(archive.files) != 1:
            raise DataError(f"{path} has {', '.join(archive.files) or 'nothing'}; labels are one array. {NONE}")
        return array_in(archive, archive.files[0], path)


def shapes(archive: Any, path: Path) -> dict[str, Shape]:
    """The shapes and types of all arrays, from their headers."""
    shapes = {}
    for name in archive.files:
        with _member(archive, name) as member:
            try:
                shape, _, dtype = _header(member)
            except ValueError as error:
                raise DataError(f"{path} is damaged: `{name}` is no array. {FORM}") from error
        shapes[name] = Shape(shape, dtype.kind)
    return shapes


def _member(archive: Any, name: str) -> IO[bytes]:
    file = f"{name}.npy"
    member: IO[bytes] = archive.zip.open(file if file in archive.zip.NameToInfo else name)
    return member


def _header(member: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """The array's shape, whether its columns lie one after another, and its type."""
    first = np.lib.format.read_magic(member) == (1, 0)
    read = np.lib.format.read_array_header_1_0 if first else np.lib.format.read_array_header_2_0
    shape, by_columns, dtype = read(member)
    return shape, by_columns, dtype


def array_in(archive: Any, name: str, path: Path) -> Array:
    try:
        large = _streamed(archive, name)
        array: Array = archive[name] if large is None else large
    except ValueError as error:
        if "pickle" in str(error):
            raise DataError(f"{path}: `{name}` {OBJECTS}") from error
        raise
    return array


def _streamed(archive: Any, name: str) -> Array | None:
    """A large array of numbers, unpacked block by block into a file and mapped; None for all others."""
    with _member(archive, name) as member:
        shape, by_columns, dtype = _header(member)
        if dtype.hasobject or math.prod(shape) * dtype.itemsize < array_cache.LARGE:
            return None
        return streamed(member, dtype, shape, "F" if by_columns else "C")


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """The archive, whose damage ends in a DataError wherever it shows."""
    try:
        # Opened here, because numpy leaves a damaged file open.
        with path.open("rb") as file:
            archive = np.load(file, allow_pickle=False)
            if not isinstance(archive, np.lib.npyio.NpzFile):
                raise DataError(f"{path} holds a single bare array: call it .npy. {FORM}")
            yield archive
    except DataError:
        raise
    except MemoryError as error:
        raise DataError(
            f"{path} claims arrays that do not fit into the memory ({reason(error, path)}). {FORM}"
        ) from error
    except Exception as error:  # Damaged files make numpy and zipfile raise all sorts of things.
        raise DataError(f"{path} cannot be read ({reason(error, path)}). {FORM}") from error
