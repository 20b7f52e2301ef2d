"""Rows of a file and images, matched by what both call the images."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import PurePosixPath

from models.autoencoder import ModelError

SHOWN = 3
"""Names in a message."""


def rows_by_name(images: Sequence[str], rows: Sequence[str], file: str) -> list[int]:
    """The row of every image.

    A row is an image's where both have the same name, be it with backslashes. Where not all images are found so, the
    last parts of the names are compared, "a.png" of "cats/a.png": as long as no two images and no two rows end alike.

    Args:
        images: their names, paths below what the user named.
        rows: the file's names. It may have more than there are images, in any order.
        file: for messages.

    Raises:
        ModelError: naming images without a row, or a name of several rows.
    """
    known, asked = _numbered(rows, file), list(images)
    if any(name not in known for name in images):
        slashed = [name.replace("\\", "/") for name in rows]  # as Windows writes paths
        known = _numbered(slashed, file)
    if any(name not in known for name in images):
        last = [PurePosixPath(name).name for name in slashed]
        own = [PurePosixPath(name).name for name in images]
        if max(Counter(last).values()) == 1 and max(Counter(own).values()) == 1:
            known, asked = _numbered(last, file), own
    missing = [name for name, key in zip(images, asked, strict=True) if key not in known]
    if missing:
        raise ModelError(
            f"{len(missing):,} of {len(images):,} images have no row in {file}: {_some(missing)}. Names there are such "
            f"as {_some(list(rows))}. Every training image needs a row under its name, a path below the images' folder."
        )
    return [known[key] for key in asked]


def _numbered(rows: Sequence[str], file: str) -> dict[str, int]:
    numbers = {name: row for row, name in enumerate(rows)}
    if len(numbers) < len(rows):
        several = [name for name, count in Counter(rows).items() if count > 1]
        raise ModelError(f"{file} has several rows of the name {_some(several)}: one is allowed.")
    return numbers


def _some(names: list[str]) -> str:
    return ", ".join(names[:SHOWN]) + (", …" if len(names) > SHOWN else "")
