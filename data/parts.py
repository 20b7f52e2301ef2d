"""Several files or arrays as one set: which of them make up a split, and which class a label stands for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from jaxtyping import Int64, Num
from torch import Tensor

from data.array_cache import joined
from data.arrays import as_tensor
from data.image_set import DataError, ImageSet, NoSplitError
from data.label_values import NONE, Values, alike
from data.names import Names
from data.reading import Reading, WasRead
from data.split_names import SPLITS

DEFAULT = Reading()

T = TypeVar("T")


@dataclass(frozen=True)
class Part:
    """The images of one file, or of one array of a file.

    Attributes:
        split: "train", "validation" or "test".
        names: of its images: "digits.csv[17]", "keras.npz/x_train[17]".
        where: how messages call it, with the file's path.
        pixels: (n, c, h, w), uint8, c = 1 or 3.
        values: (n,), the labels as the file has them, or None.
    """

    split: str
    names: Names
    where: str
    pixels: Num[np.ndarray, "n c h w"]
    values: Values | None = None


def chosen(found: Mapping[str, T], split: str, path: Path, remedy: str) -> dict[str, T]:
    """Of what is there of every split that of `split`; of "all" everything, in the order of `SPLITS`.

    Raises DataError, which ends with `remedy`, where `path` has no such split.
    """
    if split == "all":
        return {name: found[name] for name in SPLITS if name in found}
    if split not in found:
        there = " and ".join(name for name in SPLITS if name in found)
        raise NoSplitError(f"{path} has no {split} split; it has {there}. {remedy}")
    return {split: found[split]}


def assemble(
    path: Path,
    split: str,
    parts: Sequence[Part],
    class_names: tuple[str, ...] = (),
    elsewhere: Sequence[Values] = (),
    was_read: WasRead | None = None,
    together: Num[Tensor, "n c h w"] | None = None,
) -> ImageSet:
    """The set that `parts` make up in their order. It has labels when all of them have; it is said where some have.

    Args:
        path: what the user named.
        split: "train", "validation", "test" or "all".
        parts: at least one.
        class_names: the name of every class, by label. Without them the classes are named after the values that
            occur, and are numbered in the values' order.
        elsewhere: the values in the other splits, so that a class has the same number in all of them.
        was_read: what was done in reading.
        together: the images of all parts, where they lie in one array already.

    Raises DataError where images differ in shape.
    """
    first = parts[0]
    for part in parts[1:]:
        if part.pixels.shape[1:] != first.pixels.shape[1:]:
            raise DataError(
                f"{part.where} has images of shape {part.pixels.shape[1:]} (channels, height, width), "
                f"but {first.where} has {first.pixels.shape[1:]}. Images of one set share one shape."
            )
    pixels = joined([as_tensor(part.pixels) for part in parts]) if together is None else together
    names = parts[0].names
    for part in parts[1:]:
        names = names + part.names
    images = ImageSet(str(path), split, pixels, origin=str(path), names=names, was_read=was_read)
    values = [part.values for part in parts if part.values is not None]
    if len(values) < len(parts):
        if values and was_read is not None:
            without = " and ".join(part.split for part in parts if part.values is None)
            told = replace(was_read, notes=(*was_read.notes, f"{without} has no labels, so {split} has none"))
            images = replace(images, was_read=told)
        return images
    labels, class_names = _classes(path, values, class_names, elsewhere)
    return replace(images, labels=torch.from_numpy(labels), class_names=class_names)


def _classes(
    path: Path, values: Sequence[Values], class_names: tuple[str, ...], elsewhere: Sequence[Values]
) -> tuple[Int64[np.ndarray, " n"], tuple[str, ...]]:
    everything = alike([*values, *elsewhere])
    own = np.concatenate(everything[: len(values)])
    if class_names:
        return _by_name(path, own, class_names), class_names
    occurring = np.unique(np.concatenate(everything))
    return np.searchsorted(occurring, own).astype(np.int64), tuple(str(value) for value in occurring.tolist())


def _by_name(path: Path, values: Values, class_names: tuple[str, ...]) -> Int64[np.ndarray, " n"]:
    if values.dtype.kind != "U":
        return values.astype(np.int64)
    number = {name: label for label, name in enumerate(class_names)}
    unknown = sorted(set(values.tolist()) - set(number))
    if unknown:
        raise DataError(
            f"{path} has the label {unknown[0]!r}, which is none of its class names "
            f"({', '.join(class_names)}). Correct the names. {NONE}"
        )
    return np.array([number[value] for value in values.tolist()], dtype=np.int64)
