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

import numpy as np
from jaxtyping import UInt8

from data.image_set import DataError

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
    shape = struct.unpack(f">{ndim}I", content[4:start])
    expected, received = math.prod(shape), len(content) - start
    if received < expected:
        raise DataError(f"{source} is truncated: shape {shape} needs {expected} bytes, it has {received}.")
    if received > expected:
        raise DataError(f"{source} has {received - expected} bytes too many for its shape {shape}.")
    # A copy, because an array over `bytes` is read-only and PyTorch wants to own what it may write to.
    return np.frombuffer(content, dtype=np.uint8, offset=start).reshape(shape).copy()
