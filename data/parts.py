"""Several files as one set: which of them make up a split, and which class a label stands for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from jaxtyping import Int64, UInt8

from data.image_set import DataError, ImageSet

T = TypeVar("T")


@dataclass(frozen=True)
class Part:
    """The content of one file.

    Attributes:
        source: the file.
        pixels: (n, c, h, w), uint8.
        values: (n,), int64, the labels as the file has them, or None.
    """

    source: Path
    pixels: UInt8[np.ndarray, "n c h w"]
    values: Int64[np.ndarray, " n"] | None = None


def name_of_test(name: str) -> str | None:
    """What the file of the test images is called where `name` is that of the training images: "train" → "test"."""
    return name.replace("train", "test") if "train" in name else None


def choose(files: Mapping[str, T], split: str, path: Path, remedy: str) -> list[T]:
    """Of the files of every split those of `split`; of "all" every split's, "train" first.

    Raises DataError, which ends with `remedy`, where `path` has no such split.
    """
    if split == "all":
        return [files[part] for part in ("train", "test") if part in files]
    if split not in files:
        raise DataError(f"{path} has no {split} split. {remedy}")
    return [files[split]]


def assemble_split(
    path: Path,
    split: str,
    files: Mapping[str, Path],
    remedy: str,
    part: Callable[[Path], Part],
    values: Callable[[Path], Int64[np.ndarray, " n"] | None],
) -> ImageSet:
    """The set that the files of a split make up; its classes are those of all splits.

    Args:
        path: what the user named.
        split: "train", "test" or "all".
        files: of every split.
        remedy: what ends the error where there is no such split.
        part: reads a file.
        values: reads the labels alone, as the file of another split has them.
    """
    chosen = choose(files, split, path, remedy)
    others = [values(file) for file in files.values() if file not in chosen]
    return assemble(path, split, [part(file) for file in chosen], elsewhere=[v for v in others if v is not None])


def assemble(
    path: Path,
    split: str,
    parts: Sequence[Part],
    class_names: tuple[str, ...] = (),
    elsewhere: Sequence[Int64[np.ndarray, " _"]] = (),
) -> ImageSet:
    """The set that `parts` make up in their order. It has labels when all of them have.

    Args:
        path: what the user named.
        split: "train", "test" or "all".
        parts: at least one.
        class_names: the name of every class, by label. Without them the classes are named after the values that
            occur, and are numbered in the values' order.
        elsewhere: the values in the other splits, so that a class has the same number in all of them.

    Raises DataError where images differ in shape, or labels are negative.
    """
    first = parts[0]
    for part in parts[1:]:
        if part.pixels.shape[1:] != first.pixels.shape[1:]:
            raise DataError(
                f"{part.source} has images of shape {part.pixels.shape[1:]} (channels, height, width), "
                f"but {first.source} has {first.pixels.shape[1:]}. Images of one set share one shape."
            )
    tensors = [torch.from_numpy(part.pixels) for part in parts]
    pixels = torch.cat(tensors) if len(tensors) > 1 else tensors[0]
    values = [part.values for part in parts if part.values is not None]
    if len(values) < len(parts):
        return ImageSet(str(path), split, pixels, origin=str(path))
    labels = np.concatenate(values)
    if labels.size and labels.min() < 0:
        raise DataError(f"{path}: labels start at {labels.min()}. Leave them out if some are unknown.")
    if not class_names:
        occurring = np.unique(np.concatenate([labels, *elsewhere]))
        labels = np.searchsorted(occurring, labels)
        class_names = tuple(str(value) for value in occurring)
    return ImageSet(str(path), split, pixels, torch.from_numpy(labels), class_names, origin=str(path))
