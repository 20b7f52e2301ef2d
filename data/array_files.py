"""What belongs to a file of images and lies beside it: its labels, and its other splits."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path

from data.files import is_file
from data.label_values import Values, values_of
from data.levels import Array
from data.split_names import beside, split_of

LABELS = {"images": "labels", "image": "label", "imgs": "labels", "img": "label", "x": "y", "X": "y", "data": "labels"}
ROLE = re.compile(rf"(?<![A-Za-z])({'|'.join(sorted(LABELS, key=len, reverse=True))})(?![a-z])")


def splits_beside(path: Path) -> dict[str, Path]:
    """The files beside `path` whose names differ in the split alone, where `path` is a train split; without itself."""
    if split_of(path.name) != "train":
        return {}
    names = [file.name for file in path.parent.iterdir() if not file.name.startswith(".")]
    files = beside(path.name, (name for name in names if _role(name) != "labels"))
    return {split: path.with_name(name) for split, name in files.items() if name != path.name}


def labels_beside(path: Path, read: Callable[[Path], Array]) -> Values | None:
    """The labels of the images in `path`, from the file beside it of the same kind, if there is one.

    It is called `x_labels`, or has "labels" for "images" (imgs, data) or "y" for "x" in its name.

    Args:
        path: of images.
        read: the array in a file of labels.
    """
    found = _file_of_labels(path)
    return None if found is None else values_of(read(found), str(found))


def with_labels(images: Iterable[Path]) -> list[Path]:
    """The files of images, and their files of labels where there are some."""
    return [file for path in images for file in (path, _file_of_labels(path)) if file is not None]


def _file_of_labels(path: Path) -> Path | None:
    names = [f"{path.stem}_labels{path.suffix}", ROLE.sub(lambda match: LABELS[match[0]], path.name, count=1)]
    return next((file for name in names if name != path.name and is_file(file := path.with_name(name))), None)


def _role(name: str) -> str:
    return "labels" if re.search(r"labels|(?<![A-Za-z])y(?![a-z])", name) else "images"
