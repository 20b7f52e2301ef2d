"""Splits that are kept as numbers: as a file has them, and as the pixels that were asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt8

from data.as_asked import Asked
from data.label_values import Values
from data.layouts import Images
from data.levels import Scale, as_uint8
from data.names import Names
from data.reading import Reading

BLOCK_BYTES = 2**24


@dataclass(frozen=True)
class Numbers:
    """One split as a file has it.

    Attributes:
        names: of its images: "digits.csv[17]", "keras.npz/x_train[17]".
        where: how messages call it, with the file's path.
        images: (n, c, h, w), of any type of number; c is 1 or 3, or with transparency 2 or 4.
        values: (n,), the labels as the file has them, or None.
        notes: what was decided in reading, for people.
        mapped: whether the images lie in the user's own file as they are, so that reading them decodes nothing.
    """

    names: Names
    where: str
    images: Images
    values: Values | None = None
    notes: tuple[str, ...] = ()
    mapped: bool = False


@dataclass(frozen=True)
class Decoded:
    """What files hold: every split by name, and the name of every class, by label, if they tell."""

    splits: Mapping[str, Numbers]
    class_names: tuple[str, ...] = ()


@dataclass(frozen=True)
class SplitPixels:
    """One split as it was asked for. `Numbers` has what is not told here.

    Attributes:
        pixels: (n, c, h, w), c = 1 or 3.
        resized: whether the images had another size.
        transparent: whether the background shows.
    """

    names: Names
    where: str
    pixels: UInt8[np.ndarray, "n c h w"]
    values: Values | None
    notes: tuple[str, ...]
    resized: bool
    transparent: bool


def as_pixels(numbers: Numbers, scale: Scale, reading: Reading) -> SplitPixels:
    """The split as it was asked for, in memory; not copied where nothing is to be done.

    Raises DataError for a background that is no colour.
    """
    asked = Asked(reading)
    return described(numbers, asked.fitted(as_uint8(numbers.images, scale)), asked)


def described(numbers: Numbers, pixels: UInt8[np.ndarray, "n c h w"], asked: Asked) -> SplitPixels:
    """`numbers`, of which `asked` made `pixels`."""
    return SplitPixels(
        numbers.names, numbers.where, pixels, numbers.values, numbers.notes, asked.resized, asked.transparent
    )


def blocks_of(numbers: Numbers, scale: Scale, asked: Asked) -> Iterator[UInt8[np.ndarray, "_ c h w"]]:
    """The pixels of `as_pixels`, block by block."""
    images = numbers.images
    step = max(1, BLOCK_BYTES // max(1, images[:1].nbytes))
    for start in range(0, len(images), step):
        yield asked.fitted(as_uint8(images[start : start + step], scale))


def common_shape(splits: Mapping[str, Numbers], scale: Scale, reading: Reading) -> tuple[int, int, int] | None:
    """Channels, height and width that all images will have; None where there are no images or several shapes."""
    shapes = {
        next(blocks_of(Numbers(each.names, each.where, each.images[:1]), scale, Asked(reading))).shape[1:]
        for each in splits.values()
        if len(each.images)
    }
    if len(shapes) != 1:
        return None
    channels, height, width = shapes.pop()
    return channels, height, width


def lies_as_asked(numbers: Numbers, scale: Scale, reading: Reading) -> bool:
    """Whether the images are mapped from the user's file, and are wanted as they lie there."""
    first = numbers.images[:1]
    return numbers.mapped and as_pixels(Numbers(numbers.names, "", first), scale, reading).pixels is first
