"""One picture, from a file or from bytes, as the pixels that a set is made of. All sources decode here.

In this order: reduced while it is read, where the format can (JPEG); upright, as the camera's EXIF says; 16 bits
scaled to 8; transparent parts on the background; grey or colour; the set's size. Animations give their first image.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageColor, ImageOps, UnidentifiedImageError

from data.files import reason
from data.image_set import DataError
from data.reading import Fit

VERSION = 1
"""To be raised when the same picture would give other pixels."""

LARGEST = 200_000_000
"""Pixels of a picture that is decoded; more are left out. What JPEG reduces while reading counts reduced."""
LARGE = 20_000_000
"""Pictures of more pixels than this are decoded one at a time, for their memory's sake."""
REDUCED = 3
"""A JPEG is read at no less than so many times the size that it will have."""

GREY_MODES = ("1", "L", "LA", "La", "I", "I;16", "I;16B", "I;16L", "I;16N")
ALPHA_MODES = ("LA", "La", "PA", "RGBA", "RGBa")
DEEP_MODES = ("I", "I;16", "I;16B", "I;16L", "I;16N")
EXIF_ORIENTATION = 0x0112
EXIF_TURNED = (5, 6, 7, 8)  # Shown with height and width exchanged.

UNREAD = ("BUFR", "EPS", "GRIB", "HDF5", "MPEG", "PDF", "WMF")
"""Formats that Pillow knows by name alone, or that another program would have to draw."""

Content = Path | bytes

_one_large = Lock()


class Unreadable(Exception):
    """Why a picture cannot be read, in a few words."""


@dataclass(frozen=True)
class Header:
    """What a picture tells before it is decoded.

    Attributes:
        size: height and width, upright.
        grey: whether it has no colours.
        transparent: whether parts of it may be transparent.
        deep: whether it has more than 8 bits.
    """

    size: tuple[int, int]
    grey: bool
    transparent: bool
    deep: bool


@dataclass(frozen=True)
class Look:
    """What all pictures of a set become.

    Attributes:
        size: height and width.
        channels: 1 or 3.
        fit: how pictures of another size get it, see `data.reading.Reading`.
        background: red, green and blue.
        bits: how many bits pictures of 16 bits make use of.
    """

    size: tuple[int, int]
    channels: int
    fit: Fit = "cover"
    background: tuple[int, int, int] = (255, 255, 255)
    bits: int = 16


class Decoded(NamedTuple):
    """A picture's pixels, (c, h, w), and whether all that it showed vanished in the background."""

    pixels: UInt8[np.ndarray, "c h w"]
    vanished: bool


@cache
def readable_formats() -> tuple[str, ...]:
    """Pillow's names of what is read here; HEIC among them where pillow-heif is installed."""
    try:
        import pillow_heif
    except ImportError:
        pass
    else:
        pillow_heif.register_heif_opener()
    Image.init()
    return tuple(sorted(set(Image.OPEN) - set(UNREAD)))


@cache
def endings() -> frozenset[str]:
    """How the names of pictures end, in small letters: ".png" and so on."""
    formats = readable_formats()
    return frozenset(ending for ending, kind in Image.registered_extensions().items() if kind in formats)


def colour_of(background: str) -> tuple[int, int, int]:
    """Red, green and blue of "white", "black", "grey", "#rrggbb" and other names of colours.

    Raises DataError for what is none.
    """
    try:
        return ImageColor.getrgb(background)[:3]
    except ValueError as error:
        raise DataError(f"data.background={background} is no colour: take white, black, grey or #rrggbb.") from error


def read_header(content: Content) -> Header:
    """What the picture's first bytes tell. Raises Unreadable."""
    try:
        with _opened(content) as image:
            height, width = _upright(image)
            transparent = image.mode in ALPHA_MODES or "transparency" in image.info
            return Header((height, width), image.mode in GREY_MODES, transparent, image.mode in DEEP_MODES)
    except Exception as error:  # Damaged files make image decoders raise all sorts of things.
        raise _in_words(error, content) from error


def highest_value(content: Content) -> int:
    """The largest value of a picture of more than 8 bits. Raises Unreadable."""
    try:
        with _opened(content) as image, _turn(image):
            return int(_deep(image).max())
    except Exception as error:
        raise _in_words(error, content) from error


def decode(content: Content, look: Look) -> Decoded:
    """The picture as the set has it. Raises Unreadable."""
    try:
        with _opened(content) as file:
            _reduce(file, look)
            with _turn(file):
                return _pixels(file, look)
    except Exception as error:
        raise _in_words(error, content) from error


def _pixels(file: Image.Image, look: Look) -> Decoded:
    height, width = look.size
    upright = ImageOps.exif_transpose(file)
    image, shaped = _on_background(_eight_bit(upright, look.bits), look.background)
    image = image.convert("L" if look.channels == 1 else "RGB")
    vanished = shaped and all(low == high for low, high in _extrema(image))
    if image.size != (width, height):
        image = fitted(image, look)
    pixels = np.array(image)  # (h, w) or (h, w, 3)
    return Decoded(np.ascontiguousarray(pixels.reshape(height, width, -1).transpose(2, 0, 1)), vanished)


def _opened(content: Content) -> Image.Image:
    if isinstance(content, bytes):
        if not content:
            raise Unreadable("empty")
        return Image.open(BytesIO(content), formats=readable_formats())
    if content.stat().st_size == 0:
        raise Unreadable("empty")
    return Image.open(content, formats=readable_formats())


def _upright(image: Image.Image) -> tuple[int, int]:
    """Height and width as they are shown."""
    width, height = image.size
    return (width, height) if image.getexif().get(EXIF_ORIENTATION) in EXIF_TURNED else (height, width)


def _reduce(image: Image.Image, look: Look) -> None:
    """Have a JPEG decoded at an eighth, a quarter or half of its size, where that is more than enough."""
    height, width = look.size
    if image.getexif().get(EXIF_ORIENTATION) in EXIF_TURNED:
        height, width = width, height
    image.draft(None, (REDUCED * width, REDUCED * height))


def _turn(image: Image.Image) -> AbstractContextManager[Any]:
    """Within the block the picture may be decoded."""
    pixels = image.size[0] * image.size[1]
    if pixels > LARGEST:
        raise Unreadable(f"more than {LARGEST // 1_000_000} million pixels")
    return _one_large if pixels > LARGE else nullcontext()


def _deep(image: Image.Image) -> np.ndarray:
    values = np.asarray(image)
    if values.min() < 0 or values.max() > 65535:
        raise Unreadable("pixels are 32-bit integers")
    return values


def _eight_bit(image: Image.Image, bits: int) -> Image.Image:
    """16-bit grey as 8-bit grey, which Pillow would clip instead of scaling."""
    if image.mode == "F":
        raise Unreadable("pixels are 32-bit floats")
    if image.mode not in DEEP_MODES:
        return image
    values = _deep(image).astype(np.float64) * (255 / (2**bits - 1))
    return Image.fromarray(np.rint(values).clip(0, 255).astype(np.uint8))


def _on_background(image: Image.Image, background: tuple[int, int, int]) -> tuple[Image.Image, bool]:
    """The picture without transparency, and whether its transparency alone gave it a shape."""
    if image.mode not in ALPHA_MODES and "transparency" not in image.info:
        return image, False
    image = image.convert("RGBA")
    (_, opaque) = _extrema(image)[3]
    return Image.alpha_composite(Image.new("RGBA", image.size, background), image), opaque > 0


def _extrema(image: Image.Image) -> list[tuple[int, int]]:
    """The smallest and the largest value of every channel."""
    found: Any = image.getextrema()
    return [found] if len(image.getbands()) == 1 else list(found)


def fitted(image: Image.Image, look: Look) -> Image.Image:
    """The picture, "L" or "RGB", of the look's size."""
    height, width = look.size
    bicubic = Image.Resampling.BICUBIC
    if look.fit == "stretch":
        return image.resize((width, height), bicubic)
    if look.fit == "contain":
        grey = ImageColor.getcolor("#{:02x}{:02x}{:02x}".format(*look.background), "L")
        return ImageOps.pad(image, (width, height), bicubic, look.background if image.mode == "RGB" else grey)
    return ImageOps.fit(image, (width, height), bicubic)


def _in_words(error: Exception, content: Content) -> Exception:
    if isinstance(error, MemoryError | Unreadable):
        return error
    if isinstance(error, UnidentifiedImageError):
        return Unreadable("a web page" if _is_page(content) else "not an image")
    if isinstance(error, FileNotFoundError):
        return Unreadable("broken link" if isinstance(content, Path) and content.is_symlink() else "gone")
    if isinstance(error, PermissionError):
        return Unreadable("may not be read")
    told = reason(error, content if isinstance(content, Path) else None)
    return Unreadable("truncated" if "truncated" in told.lower() or "unexpected end" in told.lower() else told)


def _is_page(content: Content) -> bool:
    if isinstance(content, bytes):
        start = content[:512]
    else:
        with content.open("rb") as file:
            start = file.read(512)
    return start.lstrip().lower().startswith((b"<html", b"<!doctype html"))
