"""Numbers of any range as pixels, 0 to 255. One rule for a whole set, all its splits together.

    what the numbers are                      what is read
    true and false; 0 and 1                   0 and 255
    whole, the largest 16                     0 to 16 becomes 0 to 255 (4 bits, as scikit-learn's digits)
    whole, 0 to 255                           as they are
    whole, 512 to 1023, 4095, 16383, 65535    10, 12, 14 or 16 bits become 0 to 255
    fractions, 0 to 1                         0 to 255
    fractions, above 16 and up to 255         rounded
    -1 to 1                                   0 to 255

Everything else has two meanings, or none, and is refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Shaped, UInt8

from data.image_set import DataError

Array = Shaped[np.ndarray, "..."]  # of any dtype

DEEP_BITS = (10, 12, 14, 16)
FEWEST_DEEP = 512  # of the largest number: less is a slip beyond 255, or has too few levels to tell
TOPS = {1: 1, 4: 16, **{bits: 2**bits - 1 for bits in DEEP_BITS}}  # the number that is white
TOLERANCE = 1e-3  # what rounding in float16 and resizing leave beyond the ends of a range
DARK = 32
BLOCK_BYTES = 2**26
OUT = "Convert them to uint8 yourself, 0 black and 255 white."


@dataclass(frozen=True)
class Range:
    """What the numbers of an array, or of several, are: their ends, and whether all are whole."""

    least: float
    most: float
    whole: bool
    truth: bool = False
    uint8: bool = False


@dataclass(frozen=True)
class Scale:
    """A pixel is (number - zero) · factor, rounded. `note` says so, for people, where that changes numbers."""

    zero: float = 0.0
    factor: float = 1.0
    note: str | None = None
    bits: int | None = None  # of whole numbers that are not of 8


def measured(numbers: Array, what: str) -> Range:
    """The range of `numbers`.

    Raises DataError, which calls them `what`, for what is no number: strings, objects, NaN, infinity.
    """
    if numbers.dtype.kind not in "buif":
        kind = {"O": "Python objects", "U": "strings", "S": "strings"}.get(numbers.dtype.kind, str(numbers.dtype))
        raise DataError(f"{what} holds {kind}; pixels are numbers. {OUT}")
    if not numbers.size:
        return Range(0, 0, whole=True, uint8=numbers.dtype == np.uint8)
    least, most, whole = np.inf, -np.inf, True
    for block in _blocks(numbers):
        ends = float(block.min()), float(block.max())
        if not np.isfinite(ends).all():
            raise DataError(f"{what} holds numbers that are missing or infinite. {OUT}")
        least, most = min(least, ends[0]), max(most, ends[1])
        whole = whole and (block.dtype.kind != "f" or bool((np.rint(block) == block).all()))
    return Range(least, most, whole, numbers.dtype == bool, numbers.dtype == np.uint8)


def scale_of(ranges: Mapping[str, Range], bits: int | None = None) -> Scale:
    """The scale of a set whose parts, by name, have these ranges; with `bits` that of a set that has as many.

    Raises DataError, which names the part, where there is no one meaning, or where parts alone have another scale.
    """
    together = _together(list(ranges.values()))
    known = bits in TOPS and not (bits in DEEP_BITS and together.uint8)
    if bits is not None and known and together.whole and together.least >= 0 and together.most <= TOPS[bits]:
        return _of_bits(bits)
    whole = _scale(together, " and ".join(ranges))
    if whole.factor != 1.0:
        return whole
    # Splits of 0 to 1 beside splits of 0 to 255 would be black.
    for name, part in ranges.items():
        if 0 < part.most <= 1 and not part.uint8:
            largest = max(ranges, key=lambda name: ranges[name].most)
            raise DataError(
                f"{name} holds numbers up to {part.most:g}, but {largest} up to {ranges[largest].most:g}. "
                f"Splits of one set share one range. {OUT}"
            )
    return whole


def as_uint8(numbers: Array, scale: Scale) -> UInt8[np.ndarray, "*shape"]:
    """The pixels, rounded and kept within 0 to 255; uint8 that needs no scaling is not copied."""
    if numbers.dtype == np.uint8 and scale.factor == 1.0:
        return numbers
    pixels = np.empty(numbers.shape, dtype=np.uint8)
    done = 0
    for block in _blocks(numbers):
        scaled = (block.astype(np.float32) - np.float32(scale.zero)) * np.float32(scale.factor)
        pixels[done : done + len(block)] = np.rint(scaled).clip(0, 255)
        done += len(block)
    return pixels


def _scale(numbers: Range, what: str) -> Scale:
    least, most = numbers.least, numbers.most
    said = f"numbers from {least:g} to {most:g}"
    if numbers.truth:
        return Scale(0, 255, "true and false were read as 255 and 0")
    if numbers.whole and least >= 0:
        return _of_whole(most, said, what)
    if least >= -TOLERANCE and most <= 1 + TOLERANCE:
        return Scale(0, 255, "numbers from 0 to 1 were scaled to 0 to 255")
    if -0.5 <= least < 0 and most <= 0.5:
        raise DataError(
            f"{what} holds {said}, which may be -0.5 to 0.5 or a part of -1 to 1. Save (x + 0.5) * 255 for the first "
            "and (x + 1) * 127.5 for the second, rounded, as uint8."
        )
    if -1 - TOLERANCE <= least < 0 and most <= 1 + TOLERANCE and (most == 1 or not numbers.whole):
        return Scale(-1, 127.5, "numbers from -1 to 1 were scaled to 0 to 255")
    if least >= -TOLERANCE and TOPS[4] < most <= 255 + TOLERANCE:
        return Scale(0, 1, "numbers with fractions, 0 to 255, were rounded")
    raise DataError(f"{what} holds {said}. Numbers are read as 0 to 255, 0 to 1, -1 to 1 or 16 bits. {OUT}")


def _of_whole(most: float, said: str, what: str) -> Scale:
    bits = next((bits for bits in (1, 4) if most == TOPS[bits]), None)
    if bits is None and most <= 255:
        return Scale(note=f"the brightest pixel of all is {most:g} of 255" if 0 < most < DARK else None)
    bits = bits or next((bits for bits in DEEP_BITS if FEWEST_DEEP <= most <= TOPS[bits]), None)
    if bits is None:
        raise DataError(f"{what} holds {said}, which are neither 8 bits nor {', '.join(map(str, DEEP_BITS))}. {OUT}")
    return _of_bits(bits)


def _of_bits(bits: int) -> Scale:
    return Scale(0, 255 / TOPS[bits], f"numbers of {bits} bits, 0 to {TOPS[bits]}, became 0 to 255", bits)


def _together(ranges: list[Range]) -> Range:
    return Range(
        min(part.least for part in ranges),
        max(part.most for part in ranges),
        all(part.whole for part in ranges),
        all(part.truth for part in ranges),
        all(part.uint8 for part in ranges),
    )


def _blocks(numbers: Array) -> Iterator[Array]:
    """The array in pieces along its first axis, so that no copy of all is made in another type."""
    each = max(1, numbers.nbytes // max(1, len(numbers)))
    step = max(1, BLOCK_BYTES // each)
    for start in range(0, len(numbers), step):
        yield numbers[start : start + step]
