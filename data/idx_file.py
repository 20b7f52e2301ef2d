"""Images from IDX files, as MNIST and its kin are published: a folder of them, or one file of images.

    folder/train-images-idx3-ubyte, train-labels-idx1-ubyte     the train split
    folder/t10k-images-idx3-ubyte, t10k-labels-idx1-ubyte       the test split

Each may be gzipped (.gz), and may have a dot before "idx". Without a file of labels the images have none.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from jaxtyping import Int64, UInt8

from data import idx
from data.files import is_file, is_folder, reason
from data.image_set import DataError, ImageSet
from data.parts import Part, assemble_split

IMAGES = re.compile(r"(train|t10k)-images[-.]idx3-ubyte(\.gz)?")
SPLITS = {"train": "train", "t10k": "test"}


def holds(folder: Path) -> bool:
    """Whether the folder has IDX files of images under their usual names."""
    return any(IMAGES.fullmatch(path.name) for path in folder.iterdir())


def load(path: Path, split: str) -> ImageSet:
    """The images of the folder or file, (n, 1, h, w), with labels if they are beside them.

    A single file is the train split. Classes are named after the label values that occur in either split. Raises
    DataError for damaged files and for a split that is not there. No checksum is compared.
    """
    remedy = (
        "The splits of a folder of IDX files are train-images-idx3-ubyte and t10k-images-idx3-ubyte; "
        "a single file is the train split."
    )
    return assemble_split(path, split, _files(path), remedy, _part, _values)


def _files(path: Path) -> dict[str, Path]:
    """The file of images of every split."""
    if not is_folder(path):
        return {"train": path}
    found: dict[str, Path] = {}
    for file in sorted(path.iterdir()):  # plain before gzipped
        match = IMAGES.fullmatch(file.name)
        if match:
            found.setdefault(SPLITS[match[1]], file)
    return found


def _part(path: Path) -> Part:
    pixels = _array(path)
    if pixels.ndim != 3:
        raise DataError(f"{path} has the shape {pixels.shape}; images are (n, h, w). Name the file of the images.")
    values = _values(path)
    if values is not None and len(values) != len(pixels):
        raise DataError(f"{path} has {len(pixels)} images, but {_labels_beside(path)} has {len(values)} labels.")
    return Part(path, pixels[:, None], values)


def _values(images: Path) -> Int64[np.ndarray, " n"] | None:
    path = _labels_beside(images)
    if path is None:
        return None
    values = _array(path)
    if values.ndim != 1:
        raise DataError(f"{path} has the shape {values.shape}; labels are (n,).")
    return values.astype(np.int64)


def _labels_beside(images: Path) -> Path | None:
    name = images.name.removesuffix(".gz").replace("images", "labels").replace("idx3", "idx1")
    if "labels" not in name:
        return None
    candidates = (images.with_name(name), images.with_name(f"{name}.gz"))
    return next((path for path in candidates if is_file(path)), None)


def _array(path: Path) -> UInt8[np.ndarray, "*shape"]:
    try:
        content = idx.content(path)
    except OSError as error:
        raise DataError(f"{path} cannot be read ({reason(error, path)}).") from error
    return idx.parse(content, path)
