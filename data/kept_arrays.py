"""Large sets from files of numbers: decoded once, for all their splits, into the cache, and mapped from there.

`array_cache` keeps the pixels of all splits, one split after another. Labels, names and what was decided in reading
are kept beside them as plain values. A set is large from `array_cache.LARGE` bytes of decoded images on.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8
from torch import Tensor

from data import array_cache
from data.as_asked import Asked
from data.label_values import Values
from data.levels import Scale
from data.names import Names
from data.reading import Reading
from data.split_names import SPLITS
from data.split_pixels import Decoded, SplitPixels, blocks_of, common_shape, described, lies_as_asked
from system.streams import say

VERSION = 1
"""Of the rules by which numbers become images. Another one reads anew what is kept."""


@dataclass(frozen=True)
class Kept:
    """Splits whose pixels lie in one file.

    Attributes:
        images: (n, c, h, w), of all splits, mapped.
        splits: by name, in the order of `images`.
        class_names: see `Decoded`.
        scale: what numbers became pixels by.
        entry: where they are kept for the next command, if they are.
    """

    images: UInt8[Tensor, "n c h w"]
    splits: Mapping[str, SplitPixels]
    class_names: tuple[str, ...]
    scale: Scale
    entry: array_cache.Entry | None = None


def key_of(files: Sequence[Path], reading: Reading) -> str | None:
    """The key of what the files hold, by their paths, sizes and times; None where nothing is to be kept."""
    if not reading.cache:
        return None
    stamps = []
    for file in files:
        status = file.stat()
        stamps.append((file.name, str(file.resolve()), status.st_size, status.st_mtime_ns))
    return array_cache.key_of("numbers", VERSION, replace(reading, unreadable="leave-out"), stamps)


def find(key: str | None) -> Kept | None:
    """What is kept under that key, if it is whole. What is not is removed."""
    entry = None if key is None else array_cache.find(key)
    if entry is None:
        return None
    try:
        return _kept(entry.images(), entry.about, entry)
    except OSError:  # it may be cleared at this moment
        return None
    except (ValueError, KeyError, TypeError, AttributeError):
        with suppress(OSError):
            entry.file.with_suffix(".json").unlink()
        return None


def keep(found: Decoded, scale: Scale, reading: Reading, path: Path, key: str | None) -> Kept | None:
    """The set in the cache, under the key or, without one, in a file that goes with the process.

    None where the set is not large, where its images differ in shape, where they already lie in the user's file as they
    are asked for, and where the cache cannot be written.
    """
    shape = common_shape(found.splits, scale, reading)
    size = 0 if shape is None else prod(shape) * sum(len(each.images) for each in found.splits.values())
    if size < array_cache.LARGE or all(lies_as_asked(each, scale, reading) for each in found.splits.values()):
        return None
    order = [name for name in SPLITS if name in found.splits]
    asked = {name: Asked(reading) for name in order}
    made = False

    def blocks() -> Iterator[UInt8[np.ndarray, "_ c h w"]]:
        for name in order:
            yield from blocks_of(found.splits[name], scale, asked[name])

    def about(images: UInt8[Tensor, "n c h w"]) -> dict[str, Any]:
        nonlocal made
        made = True
        splits = {name: described(found.splits[name], images[:0].numpy(), asked[name]) for name in order}
        return _about(splits, found.class_names, scale)

    try:
        array_cache.check_room(size)
        if key is None:
            images = array_cache.spilled(blocks())
            return _kept(images, about(images), None)
        place = os.path.abspath(path)
        entry = array_cache.add(key, blocks, about, place, array_cache.key_of("numbers", place, reading))
    except OSError as error:
        say(f"{array_cache.why_not(error)}: the images are held in memory.")
        return None
    if made:  # and not another process in the meantime
        say(f"kept the images of {path} for the next command: {size / 1e6:,.0f} MB in {array_cache.folder()}")
    return _kept(entry.images(), entry.about, entry)


def _about(splits: Mapping[str, SplitPixels], class_names: tuple[str, ...], scale: Scale) -> dict[str, Any]:
    told = [
        {
            "split": name,
            "names": each.names.plain(),
            "where": each.where,
            "values": None if each.values is None else each.values.tolist(),
            "text": each.values is not None and each.values.dtype.kind == "U",
            "notes": list(each.notes),
            "resized": each.resized,
            "transparent": each.transparent,
        }
        for name, each in splits.items()
    ]
    return {
        "splits": told,
        "class_names": list(class_names),
        "scale": [scale.zero, scale.factor, scale.note, scale.bits],
    }


def _kept(images: UInt8[Tensor, "n c h w"], about: dict[str, Any], entry: array_cache.Entry | None) -> Kept:
    splits, start = {}, 0
    for told in about["splits"]:
        names = Names.from_plain(told["names"])
        pixels = images[start : start + len(names)].numpy()
        start += len(names)
        splits[str(told["split"])] = SplitPixels(
            names,
            str(told["where"]),
            pixels,
            _values(told["values"], told["text"]),
            tuple(told["notes"]),
            bool(told["resized"]),
            bool(told["transparent"]),
        )
    if start != len(images):
        raise ValueError(f"{len(images)} images, but {start} names")
    return Kept(images, splits, tuple(about["class_names"]), Scale(*about["scale"]), entry)


def _values(values: list[Any] | None, text: bool) -> Values | None:
    if values is None:
        return None
    return np.array(values, dtype=np.str_ if text else np.int64)
