"""The one size that the images of a set get, chosen by the sizes of its pictures."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np

LARGEST_SIDE = 96
"""Pictures that are all of one size are taken as they are up to this side."""
SIDES = (16, 24, 32, 48, 64)
"""Sides of a square with as many pixels as the images will have."""
NEARLY_ALL = 0.9
"""Share of the pictures that must agree in their size, or in their aspect, for it to be kept."""
ONE_ASPECT = math.log(1.1)
"""Aspects within a tenth of the middle one count as the same."""
STEP = 4
"""Sides of images that are not square are multiples of this."""


def common_size(sizes: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """Height and width for all images of a set.

    * Nearly all pictures have one size, and no side of it exceeds `LARGEST_SIDE`: this size.
    * Otherwise the middle one of their areas decides: the nearest of `SIDES` to its root. The images are square,
      unless nearly all pictures have one aspect, which is then kept.

    Args:
        sizes: height and width of every picture; at least one.
    """
    size, count = min(Counter(sizes).items(), key=lambda item: (-item[1], item[0]))
    if count >= NEARLY_ALL * len(sizes) and max(size) <= LARGEST_SIDE:
        return size
    heights, widths = np.array(sizes, dtype=np.float64).T
    middle = float(np.median(np.sqrt(heights * widths)))
    side = min(SIDES, key=lambda side: abs(math.log(side / middle)))
    aspects = np.log(heights / widths)
    aspect = float(np.median(aspects))
    if np.mean(np.abs(aspects - aspect) <= ONE_ASPECT) < NEARLY_ALL:
        return side, side
    return _of_aspect(side, math.exp(aspect))


def _of_aspect(side: int, aspect: float) -> tuple[int, int]:
    """Height and width whose ratio is `aspect`, with the area of a square of `side`; long ones are cut to fit."""
    if max(aspect, 1 / aspect) <= math.exp(ONE_ASPECT):
        return side, side
    height, width = side * math.sqrt(aspect), side / math.sqrt(aspect)
    shrunk = min(1.0, LARGEST_SIDE / max(height, width))
    return _rounded(height * shrunk), _rounded(width * shrunk)


def _rounded(length: float) -> int:
    return max(2 * STEP, STEP * round(length / STEP))
