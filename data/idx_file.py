"""Images from IDX files, as MNIST and its kin are published: a folder of them, or one file of images.

    folder/train-images-idx3-ubyte, train-labels-idx1-ubyte     the train split
    folder/t10k-images-idx3-ubyte, t10k-labels-idx1-ubyte       the test split

Each may be gzipped (.gz), in capitals, have another mark before "idx", words before the split (emnist-letters-train-…),
and lie in a folder of its own name, as Kaggle unpacks them. Without a file of labels the images have none.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from jaxtyping import Int64, UInt8

from data import idx
from data.files import is_file, is_folder, reason
from data.image_set import DataError, ImageSet
from data.layouts import images_of
from data.names import Names
from data.number_parts import Decoded, Numbers, read_numbers
from data.parts import DEFAULT
from data.reading import Reading
from data.split_names import SPLITS, rest_of, split_of, words

REMEDY = (
    "The splits of a folder of IDX files are train-images-idx3-ubyte and t10k-images-idx3-ubyte; "
    "a single file is the train split."
)


def holds(folder: Path) -> bool:
    """Whether the folder has IDX files of images under their usual names, or folders of these names with one."""
    return next(_images_in(folder), None) is not None


def load(path: Path, split: str, reading: Reading = DEFAULT) -> ImageSet:
    """The images of the folder or file, (n, c, h, w), with labels if they are beside them.

    A single file is the train split. Classes are named after the label values that occur in any split. Raises
    DataError for damaged files, for several sets in one folder, and for a split that is not there. No checksum is
    compared.
    """
    images = _files(path)
    labels = [] if reading.labels == "none" else map(_labels_beside, images.values())
    files = [*images.values(), *(file for file in labels if file is not None)]

    def decode() -> Decoded:
        return Decoded({name: _numbers(file, reading) for name, file in images.items()})

    return read_numbers(path, split, files, decode, reading, REMEDY)


def _files(path: Path) -> dict[str, Path]:
    """The file of images of every split."""
    if not is_folder(path):
        return {"train": path}
    sets: dict[tuple[str, ...], dict[str, Path]] = {}
    for file in _images_in(path):
        name = file.name.lower()
        sets.setdefault(rest_of(name), {}).setdefault(split_of(name) or "train", file)
    if len(sets) > 1:
        names = sorted(file.name for files in sets.values() for file in files.values())
        raise DataError(
            f"{path} holds several sets: {', '.join(names)}. "
            "Move each set to a folder of its own, or name one file of images."
        )
    (files,) = sets.values()
    return {split: files[split] for split in SPLITS if split in files}


def _images_in(folder: Path) -> Iterator[Path]:
    """The files of images: those in the folder first, plain before gzipped, then those in a folder of their name."""
    entries = [entry for entry in sorted(folder.iterdir()) if _is_images(entry.name)]
    yield from (entry for entry in entries if not is_folder(entry))
    for inner in (entry for entry in entries if is_folder(entry)):
        unpacked = [file for file in sorted(inner.iterdir()) if _is_images(file.name) and is_file(file)]
        yield from unpacked or [inner]  # a folder where a file should be is told when it is read


def _is_images(name: str) -> bool:
    said = words(name.lower())
    idx_of_images = any(said[i : i + 3] in (["idx", "3", "ubyte"], ["idx", "4", "ubyte"]) for i in range(len(said)))
    return "images" in said and idx_of_images and not name.startswith(".")


def _numbers(path: Path, reading: Reading) -> Numbers:
    pixels, mapped = _array(path)
    if pixels.ndim not in (3, 4):
        raise DataError(f"{path} has the shape {pixels.shape}; images are (n, h, w). Name the file of the images.")
    beside = None if reading.labels == "none" else _labels_beside(path)
    values = None if beside is None else _values(beside)
    if values is not None and len(values) != len(pixels):
        raise DataError(f"{path} has {len(pixels)} images, but {beside} has {len(values)} labels.")
    # Three dimensions are n images here, also where the last is 3.
    images = pixels[:, None] if pixels.ndim == 3 else images_of(pixels, str(path)).images
    return Numbers(Names.rows(path.name, len(images)), str(path), images, values, mapped=mapped)


def _values(path: Path) -> Int64[np.ndarray, " n"]:
    values, _ = _array(path)
    if values.ndim != 1:
        raise DataError(f"{path} has the shape {values.shape}; labels are (n,).")
    return values.astype(np.int64)


def _labels_beside(images: Path) -> Path | None:
    """The file of labels in the same folder, or, as Kaggle unpacks it, in a folder of its own name."""
    name = images.name.lower()
    if "images" not in words(name):
        return None
    wanted = _as_words(name.replace("images", "labels").replace("idx3", "idx1").replace("idx4", "idx1"))
    folders = [images.parent, images.parent.parent] if _is_images(images.parent.name) else [images.parent]
    for folder in folders:
        for entry in sorted(folder.iterdir()):
            if entry.name.startswith(".") or _as_words(entry.name.lower()) != wanted:
                continue
            if is_file(entry):
                return entry
            inner = [file for file in sorted(entry.iterdir()) if _as_words(file.name.lower()) == wanted]
            if inner:
                return inner[0]
    return None


def _as_words(name: str) -> list[str]:
    return words(name.removesuffix(".gz"))


def _array(path: Path) -> tuple[UInt8[np.ndarray, "*shape"], bool]:
    """The array, and whether it is mapped from the file as it lies there."""
    try:
        large = idx.large(path)
        if large is not None:
            return large
        content = idx.content(path)
    except OSError as error:
        raise DataError(f"{path} cannot be read ({reason(error, path)}).") from error
    return idx.parse(content, path), False
