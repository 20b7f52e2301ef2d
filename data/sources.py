"""From a data set's name, or a path, to its images."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from functools import partial
from pathlib import Path

from data import digits, fashion_mnist, image_folder, npz_file, torchvision_sets
from data.image_set import DataError, ImageSet, concatenate

SPLITS = ("train", "test", "all")

# From a split, "train" or "test", and the folder that the user named for data, if any, to the images.
Source = Callable[[str, Path | None], ImageSet]

SOURCES: Mapping[str, Source] = {
    fashion_mnist.NAME: fashion_mnist.load,
    digits.NAME: digits.load,
    **{name: partial(torchvision_sets.load, name) for name in torchvision_sets.SETS},
}


def names() -> tuple[str, ...]:
    """The names that `load` knows, sorted."""
    return tuple(sorted(SOURCES))


def load(name_or_path: str, split: str = "train", data_root: Path | None = None) -> ImageSet:
    """The images of one split, (n, c, h, w), uint8.

    Args:
        name_or_path: one of `names()`, or the path of a folder of images or of an .npz file. A name wins over
            a folder of the same name, which "./name" reaches.
        split: "train", "test", or "all" for train followed by test.
        data_root: a folder to search first for a named data set.

    Raises DataError when there is no such data set, when it can be neither found nor downloaded, or when its
    files are damaged.
    """
    if split not in SPLITS:
        raise DataError(f"there is no split {split!r}. Splits are {', '.join(SPLITS)}.")
    if name_or_path not in SOURCES:
        return _load_path(name_or_path, split)
    source = SOURCES[name_or_path]
    if split == "all":
        return concatenate(source("train", data_root), source("test", data_root))
    return source(split, data_root)


def _load_path(name_or_path: str, split: str) -> ImageSet:
    path = os.path.expanduser(name_or_path)
    if os.path.isdir(path):
        return image_folder.load(Path(path), split)
    if os.path.isfile(path) and path.endswith(".npz"):
        return npz_file.load(Path(path), split)
    if os.path.exists(path):
        problem = f"{name_or_path} is a file, but no .npz file."
    else:
        problem = f"{name_or_path!r} is neither a data set's name nor a path that exists."
    near = get_close_matches(name_or_path.lower().replace("_", "-"), names(), n=1)
    hint = f" Did you mean {near[0]}?" if near else ""
    raise DataError(
        f"{problem}{hint} Names are {', '.join(names())}. "
        "The path of a folder of images or of an .npz file works as well."
    )
