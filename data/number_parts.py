"""Splits that are kept as numbers: their images, by one scale and one layout for all of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from jaxtyping import UInt8
from torch import Tensor

from data import kept_arrays
from data.image_set import DataError, ImageSet, fingerprint
from data.kept_arrays import Kept
from data.label_values import Values
from data.levels import Scale, measured, scale_of
from data.parts import Part, assemble, chosen
from data.reading import Reading, WasRead
from data.split_pixels import Decoded, Numbers, SplitPixels, as_pixels

__all__ = ["Decoded", "Numbers", "read_numbers"]


def read_numbers(
    path: Path, split: str, files: Sequence[Path], decode: Callable[[], Decoded], reading: Reading, remedy: str
) -> ImageSet:
    """The images of `split`, uint8, with labels if all its parts have them.

    Args:
        path: what the user named.
        split: "train", "validation", "test" or "all".
        files: all that `decode` reads: what it gives is taken from the cache while none of them changes.
        decode: every split that there is; without names of classes these are named after their values.
        reading: how the user wants images read.
        remedy: what ends the error where there is no such split.

    Raises DataError for that, for numbers of no known range, and for splits that do not fit together.
    """
    key = kept_arrays.key_of(files, reading)
    kept = kept_arrays.find(key)
    if kept is None:
        found = decode()
        wanted = chosen(found.splits, split, path, remedy)
        scale = scale_of(
            {part.where: measured(part.images, part.where) for part in found.splits.values()}, reading.bits
        )
        for part in wanted.values():
            _check_labels(part.where, len(part.images), part.values)
        kept = kept_arrays.keep(found, scale, reading, path, key)
        if kept is None:
            pixels = {name: as_pixels(numbers, scale, reading) for name, numbers in wanted.items()}
            others = [part.values for name, part in found.splits.items() if name not in wanted]
            images = sum(len(part.images) for part in found.splits.values())
            was_read = _was_read(path, images, pixels, scale, reading)
            return _assembled(path, split, pixels, found.class_names, others, reading, was_read)
    return _of_kept(path, split, kept, chosen(kept.splits, split, path, remedy), reading)


def _of_kept(path: Path, split: str, kept: Kept, wanted: Mapping[str, SplitPixels], reading: Reading) -> ImageSet:
    for part in wanted.values():
        _check_labels(part.where, len(part.pixels), part.values)
    others = [part.values for name, part in kept.splits.items() if name not in wanted]
    was_read = _was_read(path, len(kept.images), wanted, kept.scale, reading)
    joined = kept.images if len(wanted) == len(kept.splits) else None
    images = _assembled(path, split, wanted, kept.class_names, others, reading, was_read, joined)
    if kept.entry is not None:
        images.know_fingerprint(kept.entry.fact(f"fingerprint {split}", lambda: fingerprint(images.images)))
    return images


def _check_labels(where: str, images: int, values: Values | None) -> None:
    if values is not None and len(values) != images:
        raise DataError(f"{where} has {images} images but {len(values)} labels.")


def _was_read(path: Path, images: int, wanted: Mapping[str, SplitPixels], scale: Scale, reading: Reading) -> WasRead:
    notes = [note for part in wanted.values() for note in part.notes] + ([scale.note] if scale.note else [])
    channels, height, width = next(iter(wanted.values())).pixels.shape[1:]
    return WasRead(
        str(path),
        images,
        images,
        size=(height, width),
        channels=channels,
        fit=reading.fit if any(part.resized for part in wanted.values()) else None,
        background=reading.background if any(part.transparent for part in wanted.values()) else None,
        bits=scale.bits,
        notes=tuple(dict.fromkeys(notes)),
    )


def _assembled(
    path: Path,
    split: str,
    wanted: Mapping[str, SplitPixels],
    class_names: tuple[str, ...],
    others: Sequence[Values | None],
    reading: Reading,
    was_read: WasRead,
    joined: UInt8[Tensor, "n c h w"] | None = None,
) -> ImageSet:
    parts = [
        Part(name, part.names, part.where, part.pixels, None if reading.labels == "none" else part.values)
        for name, part in wanted.items()
    ]
    elsewhere = [values for values in others if values is not None]
    return assemble(path, split, parts, class_names, elsewhere, was_read, joined)
