"""Images from an .npy file, as `numpy.save` writes it: one array. It is mapped into memory, not read into it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from data.array_files import labels_beside, splits_beside, with_labels
from data.files import reason
from data.image_set import DataError, ImageSet
from data.layouts import images_of
from data.levels import Array, measured, scale_of
from data.names import Names
from data.number_parts import Decoded, Numbers, read_numbers
from data.parts import DEFAULT
from data.points import Points, as_points, point_set
from data.reading import Reading

FORM = (
    "An .npy file holds one array of images, (n, h, w), (n, h, w, c), (n, c, h, w) or (n, pixels), as uint8 or other "
    "numbers; or points, (n, d). Its labels are a file beside it, x_labels.npy for x.npy."
)
REMEDY = (
    "An .npy file is one set of images, the train split; another split is a file beside it whose name "
    'has "test" or "val" in place of "train".'
)


def load(path: Path, split: str, reading: Reading = DEFAULT) -> ImageSet:
    """The images of the file, (n, c, h, w), with labels if they are beside it. Nothing is unpickled.

    Rows of fractions that cannot be images are points, and so are all rows where `reading` says so.

    Raises DataError for a file that is damaged or of another form, and for a split that is not there.
    """
    files = {"train": path, **splits_beside(path)}
    if _holds_points(path, reading):
        return point_set(path, split, {name: _points(file, reading) for name, file in files.items()}, REMEDY)

    def decode() -> Decoded:
        return Decoded({name: _numbers(file, reading) for name, file in files.items()})

    return read_numbers(path, split, with_labels(files.values()), decode, reading, REMEDY)


def _holds_points(path: Path, reading: Reading) -> bool:
    array = array_of(path)
    if array.ndim != 2:
        return False
    if reading.kind == "points":
        return True
    if array.dtype.kind != "f":
        return False
    try:
        images_of(array, str(path))
        scale_of({str(path): measured(array, str(path))})
    except DataError:
        return True
    return False


def _points(path: Path, reading: Reading) -> Points:
    values = as_points(array_of(path), str(path))
    labels = None if reading.labels == "none" else labels_beside(path, array_of)
    return Points(Names.rows(path.name, len(values)), str(path), values, labels)


def _numbers(path: Path, reading: Reading) -> Numbers:
    raw = array_of(path)
    values = None if reading.labels == "none" else labels_beside(path, array_of)
    laid = images_of(raw, str(path), None if values is None else len(values))
    return Numbers(
        Names.rows(path.name, len(laid.images)),
        str(path),
        laid.images,
        values,
        () if laid.note is None else (laid.note,),
        mapped=True,
    )


def array_of(path: Path) -> Array:
    try:
        # Copied where it is written to, which nothing does: torch warns of memory that may only be read.
        array = np.load(path, mmap_mode="c", allow_pickle=False)
    except MemoryError as error:
        raise DataError(f"{path} claims an array that does not fit into the memory. {FORM}") from error
    except Exception as error:  # Damaged files make numpy raise all sorts of things.
        if "pickle" in str(error) or "Python objects" in str(error):
            raise DataError(
                f"{path} cannot be read: it holds Python objects, which only unpickling would read, and that can run "
                f"any program. Save arrays of one shape with numpy.stack. {FORM}"
            ) from error
        raise DataError(f"{path} cannot be read ({reason(error, path)}). {FORM}") from error
    if not isinstance(array, np.ndarray):
        raise DataError(f"{path} is an archive of arrays: call it .npz.")
    plain: Array = array.view(np.ndarray)
    return plain
