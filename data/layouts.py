"""Arrays of any usual shape as images: (n, c, h, w) out, without a copy.

    shape                                  what is read
    (n, h, w)                              n grey images
    (n, h, w, c), (n, c, h, w)             c = 1 grey, 2 grey with transparency, 3 colour, 4 colour with transparency
    (h, w, c, n)                           the same, as MATLAB keeps them
    (n, h·w), (n, 3·h·h)                   rows of square images, grey or colour
    (h, w, 1), (h, w, 3), (h, w, 4)        one image

A shape with two meanings is refused, unless the number of labels decides.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Shaped

from data.image_set import DataError

Array = Shaped[np.ndarray, "..."]  # of any dtype
Images = Shaped[np.ndarray, "n c h w"]

CHANNELS = (1, 2, 3, 4)
SMALLEST_SIDE = 5  # of one image (h, w, c): shorter ones may as well be images or channels
SMALLEST_COLOUR = 4  # side of a colour image in a row of numbers: shorter rows are as likely something else
DECIDED_BY = 256  # images that the order of colours is decided by
CLEARLY = 0.8
FORM = "Images are (n, h, w), (n, h, w, c), (n, c, h, w) or (n, pixels of a square image)."


@dataclass(frozen=True)
class Laid:
    """Images, (n, c, h, w), a view where that is possible; and what was decided, for people, if anything was."""

    images: Images
    note: str | None = None


def images_of(numbers: Array, what: str, labels: int | None = None) -> Laid:
    """The images in `numbers`.

    Args:
        numbers: of a shape above.
        what: how messages call them.
        labels: how many labels there are, if any: one for each image.

    Raises DataError for any other shape, and for one with two meanings.
    """
    shape = numbers.shape
    if numbers.ndim == 4:
        return _of_four(numbers, what, labels)
    if numbers.ndim == 3:
        height, width, channels = shape
        single = channels in (1, 3, 4) and min(height, width) >= SMALLEST_SIDE
        if single and labels in (None, 1):
            kind = {1: "grey", 3: "colour", 4: "colour with transparency"}[channels]
            return Laid(numbers.transpose(2, 0, 1)[None], f"the shape {shape} was read as one image, {kind}")
        return Laid(numbers[:, None])
    if numbers.ndim == 2:
        return _of_rows(numbers, what, labels)
    raise DataError(f"{what} has the shape {shape}. {FORM}")


def side_of(pixels: int) -> tuple[int, int] | None:
    """Channels (1 or 3) and side of the square image that has so many numbers; None where there is none."""
    for channels, smallest in ((1, 1), (3, SMALLEST_COLOUR)):
        side = math.isqrt(pixels // channels)
        if side >= smallest and channels * side**2 == pixels:
            return channels, side
    return None


def squares(rows: Shaped[np.ndarray, "n pixels"], what: str) -> Laid:
    """Rows of square images. In colour the order of a row's numbers, by pixel or by channel, is the smoother one.

    Raises DataError where a row makes no square image, or where neither order is clearly smoother.
    """
    n, pixels = rows.shape
    found = side_of(pixels)
    if found is None:
        raise DataError(f"{what} has the shape {rows.shape}; {pixels} numbers make no square image. {FORM}")
    channels, side = found
    if channels == 1:
        return Laid(rows.reshape(n, 1, side, side), f"rows of {pixels} numbers are images of {side}×{side}")
    by_channel = rows.reshape(n, 3, side, side)
    by_pixel = rows.reshape(n, side, side, 3).transpose(0, 3, 1, 2)
    said = f"rows of {pixels} numbers are colour images of {side}×{side}"
    roughness = [_roughness(order[:DECIDED_BY]) for order in (by_pixel, by_channel)]
    if roughness[0] < CLEARLY * roughness[1]:
        return Laid(by_pixel, f"{said}, red, green and blue of a pixel side by side")
    if roughness[1] < CLEARLY * roughness[0]:
        return Laid(by_channel, f"{said}, all red first, then green, then blue")
    raise DataError(
        f"{what}: {pixels} numbers a row may be a colour image of {side}×{side} by pixel or by channel. Save an .npy "
        f"file of x.reshape(-1, {side}, {side}, 3) for the first or x.reshape(-1, 3, {side}, {side}) for the second."
    )


def _of_four(numbers: Array, what: str, labels: int | None) -> Laid:
    shape = numbers.shape
    first, last = shape[1] in CHANNELS, shape[3] in CHANNELS
    if first and last:
        raise DataError(
            f"{what} of shape {shape} may be (n, c, h, w) or (n, h, w, c). "
            "Give grey images as (n, h, w), and others higher and wider than 4 pixels."
        )
    if first:
        return Laid(numbers)
    if last:
        return Laid(numbers.transpose(0, 3, 1, 2))
    if shape[2] in (1, 3, 4) and labels in (None, shape[3]):
        return Laid(numbers.transpose(3, 2, 0, 1), f"the shape {shape} was read as (h, w, c, n)")
    raise DataError(f"{what} has the shape {shape}: no axis is one of channels, and volumes are not read. {FORM}")


def _of_rows(numbers: Array, what: str, labels: int | None) -> Laid:
    n, pixels = numbers.shape
    if n == pixels and n > 1 and side_of(pixels) is not None and labels is None:
        raise DataError(
            f"{what} of shape {numbers.shape} may be one image or {n} rows of square images. "
            f"Save x[None] for one image, x.reshape({n}, …) for rows."
        )
    return squares(numbers, what)


def _roughness(images: Images) -> float:
    """The mean difference of neighbours, to the right and below."""
    pixels: Float[np.ndarray, "n c h w"] = images.astype(np.float32)
    if pixels.shape[3] < 2:
        return 0.0
    return float(np.abs(np.diff(pixels, axis=3)).mean() + np.abs(np.diff(pixels, axis=2)).mean())
