"""Where the figures of a run and a set of images stand: no two of them in one folder."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from data.sources import names

LONGEST = 100
"""Bytes of a run's or a file's name that a folder's name holds; systems take 255 in all."""


def figure_folder(figures: Path, checkpoint: Path, split: str, other: str | None, home: Path) -> Path:
    """`figures`/<run>-<split> or, of images that are not the run's own, `figures`/<run>-<split>/on-<images>.

    A run is called as its folder. Where other runs could be called so, which is everywhere but in the folder where
    train.py puts them, eight digits that stand for the whole path follow.

    Args:
        figures: the folder of all figures.
        checkpoint: the run's file.
        split: of the images.
        other: a data set's name or a path; None for the images that the run names.
        home: the folder in which all runs have different names, and a checkpoint.pt each.
    """
    file = checkpoint.resolve()
    own = file.name == "checkpoint.pt"
    alone = own and file.parent.parent == home.resolve()
    run = _name(file.parent.name if own else file.stem, file, alone)
    folder = figures / f"{run}-{split}"
    if other is None:
        return folder
    place = Path(other).expanduser().resolve()
    return folder / f"on-{_name(other if other in names() else place.name, place, other in names())}"


def _name(name: str, place: Path, alone: bool) -> str:
    """`name`, cut where it is long, with digits that stand for its place where it is not alone or was cut."""
    shown = name
    while len(os.fsencode(shown)) > LONGEST:
        shown = shown[:-1]
    digits = hashlib.sha256(os.fsencode(place)).hexdigest()[:8]
    return shown if alone and shown == name else f"{shown}-{digits}"
