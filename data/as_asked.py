"""Images that already are pixels, of the channels and the size that were asked for."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from data.decode import Look, colour_of, fitted
from data.reading import Reading

Pixels = UInt8[np.ndarray, "n c h w"]
Changed = UInt8[np.ndarray, "_ _ _ _"]  # of other channels

GREY = np.array([299, 587, 114], dtype=np.uint32)  # of red, green and blue in 1000, as Pillow weighs them (ITU-R 601)
AT_ONCE = 4096  # images


class Asked:
    """Makes images as a person asked for them, and keeps in mind what that took.

    Attributes:
        resized: whether an image had another size.
        transparent: whether a pixel was transparent, so that the background showed.
    """

    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self.resized = False
        self.transparent = False

    def fitted(self, pixels: Pixels) -> Changed:
        """(n, c, h, w) with c = 1 to 4; an even c has transparency last. What is as asked is not copied.

        Raises DataError for a background that is no colour.
        """
        if pixels.shape[1] in (2, 4):
            pixels = self._on_background(pixels)
        channels = self._reading.channels or pixels.shape[1]
        if channels < pixels.shape[1]:
            pixels = _by_blocks(pixels, _grey, 1)
        elif channels > pixels.shape[1]:
            pixels = np.repeat(pixels, channels, axis=1)
        size = self._reading.size
        if size is None or size == pixels.shape[2:]:
            return pixels
        self.resized = True
        return np.stack([self._resized(image, size) for image in pixels])

    def _on_background(self, pixels: Pixels) -> Changed:
        colour, alpha = pixels[:, :-1], pixels[:, -1:]
        if not alpha.size or alpha.min() == 255:
            return np.ascontiguousarray(colour)
        self.transparent = True
        behind = np.array(colour_of(self._reading.background), dtype=np.uint32)[:, None, None]
        if colour.shape[1] == 1:
            behind = _grey(behind.astype(np.uint8)[None])[0].astype(np.uint32)

        def shown(block: Pixels) -> Changed:
            share = block[:, -1:].astype(np.uint32)
            mixed: Changed = ((block[:, :-1] * share + behind * (255 - share) + 127) // 255).astype(np.uint8)
            return mixed

        return _by_blocks(pixels, shown, colour.shape[1])

    def _resized(self, image: UInt8[np.ndarray, "c h w"], size: tuple[int, int]) -> UInt8[np.ndarray, "c H W"]:
        picture = Image.fromarray(image[0] if len(image) == 1 else np.ascontiguousarray(image.transpose(1, 2, 0)))
        look = Look(size, len(image), self._reading.fit, colour_of(self._reading.background))
        pixels: UInt8[np.ndarray, "c H W"] = np.asarray(fitted(picture, look)).reshape(*size, -1).transpose(2, 0, 1)
        return pixels


def _grey(pixels: Pixels) -> Changed:
    weighed = (pixels.astype(np.uint32) * GREY[:, None, None]).sum(axis=1, keepdims=True)
    grey: Changed = ((weighed + 500) // 1000).astype(np.uint8)
    return grey


def _by_blocks(pixels: Pixels, change: Callable[[Pixels], Changed], channels: int) -> Changed:
    changed = np.empty((len(pixels), channels, *pixels.shape[2:]), dtype=np.uint8)
    for start in range(0, len(pixels), AT_ONCE):
        changed[start : start + AT_ONCE] = change(pixels[start : start + AT_ONCE])
    return changed
