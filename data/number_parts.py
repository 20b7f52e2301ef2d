"""Splits that are kept as numbers: their images, by one scale and one layout for all of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from data.as_asked import Asked
from data.image_set import DataError, ImageSet
from data.label_values import Values
from data.layouts import Images
from data.levels import as_uint8, measured, scale_of
from data.names import Names
from data.parts import Part, assemble, chosen
from data.reading import Reading, WasRead


@dataclass(frozen=True)
class Numbers:
    """One split as a file has it.

    Attributes:
        names: of its images: "digits.csv[17]", "keras.npz/x_train[17]".
        where: how messages call it, with the file's path.
        images: (n, c, h, w), of any type of number; c is 1 or 3, or with transparency 2 or 4.
        values: (n,), the labels as the file has them, or None.
        notes: what was decided in reading, for people.
    """

    names: Names
    where: str
    images: Images
    values: Values | None = None
    notes: tuple[str, ...] = ()


def read_numbers(
    path: Path,
    split: str,
    found: Mapping[str, Numbers],
    reading: Reading,
    remedy: str,
    class_names: tuple[str, ...] = (),
) -> ImageSet:
    """The images of `split`, uint8, with labels if all its parts have them.

    Args:
        path: what the user named.
        split: "train", "validation", "test" or "all".
        found: every split that there is.
        reading: how the user wants images read.
        remedy: what ends the error where there is no such split.
        class_names: the name of every class, by label; without them classes are named after their values.

    Raises DataError for that, for numbers of no known range, and for splits that do not fit together.
    """
    wanted = chosen(found, split, path, remedy)
    scale = scale_of({part.where: measured(part.images, part.where) for part in found.values()}, reading.bits)
    parts = []
    asked = Asked(reading)
    for name, numbers in wanted.items():
        if numbers.values is not None and len(numbers.values) != len(numbers.images):
            raise DataError(f"{numbers.where} has {len(numbers.images)} images but {len(numbers.values)} labels.")
        pixels = asked.fitted(as_uint8(numbers.images, scale))
        values = None if reading.labels == "none" else numbers.values
        parts.append(Part(name, numbers.names, numbers.where, pixels, values))
    others = [part.values for name, part in found.items() if name not in wanted and part.values is not None]
    notes = [note for numbers in wanted.values() for note in numbers.notes] + ([scale.note] if scale.note else [])
    images = sum(len(part.images) for part in found.values())
    channels, *size = parts[0].pixels.shape[1:]
    was_read = WasRead(
        str(path),
        images,
        images,
        size=(size[0], size[1]),
        channels=channels,
        fit=reading.fit if asked.resized else None,
        background=reading.background if asked.transparent else None,
        bits=scale.bits,
        notes=tuple(dict.fromkeys(notes)),
    )
    return assemble(path, split, parts, class_names, others, was_read)
