"""The IDX format of MNIST and its kin, plain or gzipped.

Source: "The IDX file format", http://yann.lecun.com/exdb/mnist/. A file is two zero bytes, one byte for
the type of the values, one byte for the number of dimensions, every dimension as a big-endian 32-bit
integer, and then the values, last dimension fastest.
"""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np
from jaxtyping import UInt8

from data import array_cache
from data.image_set import DataError
from data.unpacked import streamed

UINT8 = 0x08
OTHER_TYPES = {0x09: "int8", 0x0B: "int16", 0x0C: "int32", 0x0D: "float32", 0x0E: "float64"}
MOST_DIMENSIONS = 4
GZIP_MAGIC = b"\x1f\x8b"


def content(path: Path) -> bytes:
    """The file's bytes, unpacked where it is gzipped (told by its first bytes, not by its name).

    Raises DataError for damaged gzip data and OSError where the file cannot be opened or read.
    """
    raw = path.read_bytes()
    if not raw.startswith(GZIP_MAGIC):
        return raw
    try:
        return gzip.decompress(raw)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{path} is truncated or damaged: it does not unpack ({error}).") from error


def parse(content: bytes, source: Path) -> UInt8[np.ndarray, "*shape"]:
    """The array of the unpacked IDX file `content`, uint8, in the file's own shape.

    `source` is named in errors. Raises DataError unless `content` is exactly one IDX array of uint8.
    """
    shape, start = _header(content, source)
    expected, received = math.prod(shape), len(content) - start
    if received < expected:
        raise DataError(f"{source} is truncated: shape {shape} needs {expected} bytes, it has {received}.")
    if received > expected:
        raise DataError(f"{source} has {received - expected} bytes too many for its shape {shape}.")
    # A copy, because an array over `bytes` is read-only and PyTorch wants to own what it may write to.
    return np.frombuffer(content, dtype=np.uint8, offset=start).reshape(shape).copy()


def large(path: Path) -> tuple[UInt8[np.ndarray, "*shape"], bool] | None:
    """The array of a large file, and whether it lies in the file itself, mapped; otherwise it was unpacked.

    None for a small file, and for one that is damaged, whose error `content` and `parse` tell. Raises OSError where
    the file cannot be opened or read.
    """
    with path.open("rb") as raw:
        packed = raw.read(2) == GZIP_MAGIC
        raw.seek(0)
        try:
            stream = cast(BinaryIO, gzip.GzipFile(fileobj=raw)) if packed else raw
            shape, start = _header(stream.read(4 + 4 * MOST_DIMENSIONS), path)
            if math.prod(shape) < array_cache.LARGE:
                return None
            if not packed:
                whole = path.stat().st_size == start + math.prod(shape)
                return (np.memmap(path, np.uint8, "c", start, shape).view(np.ndarray), True) if whole else None
            stream.seek(start)
            array = streamed(stream, np.dtype(np.uint8), shape, "C")
            return None if array is None or stream.read(1) else (array, False)
        except (DataError, EOFError, zlib.error, gzip.BadGzipFile):
            return None


def _header(content: bytes, source: Path) -> tuple[tuple[int, ...], int]:
    """The shape of the array, and where its values begin. Raises DataError where that is not told."""
    if len(content) < 4 or content[:2] != b"\0\0":
        raise DataError(
            f"{source} is no IDX file: it begins with {content[:4].hex(' ') or 'nothing'}, "
            "not with two zero bytes, a type and a number of dimensions."
        )
    kind, ndim = content[2], content[3]
    if kind != UINT8:
        name = OTHER_TYPES.get(kind, "an unknown type")
        raise DataError(f"{source} holds {name} (IDX type 0x{kind:02x}); only uint8 (0x08) is read.")
    if ndim > MOST_DIMENSIONS:
        raise DataError(f"{source} is damaged: its header announces {ndim} dimensions; images have 3, labels 1.")
    start = 4 + 4 * ndim
    if ndim == 0 or len(content) < start:
        raise DataError(f"{source} is truncated: its header announces {ndim} dimensions and ends early.")
    return struct.unpack(f">{ndim}I", content[4:start]), start
