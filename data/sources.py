"""From a data set's name, or a path, to its images."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from functools import partial
from pathlib import Path

from data import (
    archives,
    csv_file,
    digits,
    fashion_mnist,
    idx_file,
    image_folder,
    npy_file,
    npz_file,
    parquet_file,
    torchvision_sets,
    walk,
)
from data.files import exists, is_file, is_folder, reason, shortened
from data.image_set import DataError, ImageSet, concatenate
from data.reading import Reading

SPLITS = ("train", "validation", "test", "all")
NAMED_SPLITS = ("train", "test", "all")

# From a split, "train" or "test", and the folder that the user named for data, if any, to the images.
Source = Callable[[str, Path | None], ImageSet]

SOURCES: Mapping[str, Source] = {
    fashion_mnist.NAME: fashion_mnist.load,
    digits.NAME: digits.load,
    **{name: partial(torchvision_sets.load, name) for name in torchvision_sets.SETS},
}

# From a path, one of `SPLITS` and how pictures are read to the images there.
Reader = Callable[[Path, str, Reading], ImageSet]


FILE_READERS: Mapping[str, Reader] = {  # by the end of the file's name, in small letters
    ".npz": npz_file.load,
    ".npy": npy_file.load,
    ".csv": csv_file.load,
    ".csv.gz": csv_file.load,
    ".parquet": parquet_file.load,
    **dict.fromkeys(("idx3-ubyte", "idx3-ubyte.gz", "idx4-ubyte", "idx4-ubyte.gz"), idx_file.load),
    **dict.fromkeys(archives.ENDINGS, archives.load),
}
# By what a folder holds, the first that fits; one with pictures, or with none of these, is read as one of pictures.
FOLDER_READERS: Sequence[tuple[Callable[[Path], bool], Reader]] = (
    (parquet_file.holds, parquet_file.load),
    (idx_file.holds, idx_file.load),
    (archives.holds, archives.load),
)
PATHS = (
    "a folder of images, of archives, of .parquet files or of MNIST's IDX files, "
    "or an .npz, .csv (.csv.gz), .parquet, .npy, IDX (idx3-ubyte), .zip or .tar file"
)


def names() -> tuple[str, ...]:
    """The names that `load` knows, sorted."""
    return tuple(sorted(SOURCES))


def load(
    name_or_path: str, split: str = "train", data_root: Path | None = None, reading: Reading | None = None
) -> ImageSet:
    """The images of one split, (n, c, h, w), uint8.

    Args:
        name_or_path: one of `names()`, or the path of what has a reader here (`PATHS`). A name wins over a folder of
            the same name, which "./name" reaches.
        split: one of `SPLITS`; "all" is train followed by validation, test, and what belongs to none of them.
        data_root: a folder to search first for a named data set.
        reading: how pictures are read; named data sets are what they are.

    Raises DataError when there is no such data set, when it can be neither found nor downloaded, or when its
    files are damaged.
    """
    known = NAMED_SPLITS if name_or_path in SOURCES else SPLITS
    if split not in known:
        raise DataError(f"there is no split {split!r}. Splits are {', '.join(known)}.")
    if name_or_path not in SOURCES:
        return _load_path(name_or_path, split, reading or Reading())
    source = SOURCES[name_or_path]
    if split == "all":
        return concatenate(source("train", data_root), source("test", data_root))
    return source(split, data_root)


def _load_path(name_or_path: str, split: str, reading: Reading) -> ImageSet:
    path = Path(os.path.expanduser(name_or_path))
    try:
        # An empty name is no path, though pathlib reads it as the current folder.
        reader = _reader(path) if name_or_path else None
        if reader is not None:
            return reader(path, split, reading)
        there = bool(name_or_path) and exists(path)
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise DataError(
                f"{path} cannot be read ({reason(error, path)}). Ask for the right to read its files and to "
                "enter its folders, or name another path."
            ) from error
        there = False
    except MemoryError as error:
        raise DataError(f"{path} does not fit into the memory ({reason(error, path)}). Take a part of it.") from error
    if there:
        problem = f"{name_or_path} is a file of no kind that can be read."
    else:
        problem = f"{shortened(name_or_path)!r} is neither a data set's name nor a path that exists."
    near = get_close_matches(name_or_path.lower().replace("_", "-"), names(), n=1)
    hint = f" Did you mean {near[0]}?" if near else ""
    raise DataError(f"{problem}{hint} Names are {', '.join(names())}. A path works as well: {PATHS}.")


def _reader(path: Path) -> Reader | None:
    if is_folder(path):
        reader = next((read for holds, read in FOLDER_READERS if holds(path)), image_folder.load)
        return image_folder.load if reader is not image_folder.load and walk.has_pictures(path) else reader
    if is_file(path):
        return next((read for ending, read in FILE_READERS.items() if path.name.lower().endswith(ending)), None)
    return None
