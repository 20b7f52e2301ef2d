"""Arrays that files keep packed or as text, unpacked block by block: small ones into memory, large ones into a file.

The file has no name, lies in the cache's folder and goes with the process. So the memory that unpacking needs does not
grow with the array. An array of `array_cache.LARGE` bytes or more is large.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Iterator
from itertools import chain
from typing import IO, Any, Literal

import numpy as np
from jaxtyping import Shaped

from data import array_cache
from system.streams import say

Array = Shaped[np.ndarray, "..."]  # of any dtype
AT_ONCE = 2**20
"""Bytes."""


class _Unwritten(Exception):
    """The file cannot be written; `args[0]` is the OSError."""


def stacked(blocks: Callable[[], Iterator[Array]]) -> Array:
    """All blocks in one array, one after another along the first axis.

    Args:
        blocks: gives them, at least one, of one shape beside the first axis. It is called again where the file cannot
            be written or the blocks are of several types; then all are held in memory.
    """
    coming, first, size = blocks(), [], 0
    for block in coming:
        first.append(block)
        size += block.nbytes
        if size >= array_cache.LARGE:
            break
    else:
        return _in_memory(first)
    kind, shape = first[0].dtype, first[0].shape[1:]
    count = 0
    try:
        with _file() as stream:
            for block in chain(_taken(first), coming):
                if block.dtype != kind:
                    return _in_memory(list(blocks()))
                _write(stream, np.ascontiguousarray(block).data)
                count += len(block)
            return _mapped(stream, kind, (count, *shape), "C")
    except _Unwritten as error:
        say(f"{array_cache.why_not(error.args[0])}: the images are held in memory.")
    return _in_memory(list(blocks()))


def streamed(content: IO[bytes], kind: np.dtype[Any], shape: tuple[int, ...], order: Literal["C", "F"]) -> Array | None:
    """The array whose bytes come next in `content`, mapped; None where the file cannot be written.

    Raises:
        EOFError: the content ends early. What reading it raises passes through.
    """
    needed = math.prod(shape) * kind.itemsize
    try:
        with _file(needed) as stream:
            left = needed
            while left:
                block = content.read(min(left, AT_ONCE))
                if not block:
                    raise EOFError(f"it ends {left} bytes early")
                _write(stream, block)
                left -= len(block)
            return _mapped(stream, kind, shape, order)
    except _Unwritten as error:
        say(f"{array_cache.why_not(error.args[0])}: the images are held in memory.")
        return None


def _taken(blocks: list[Array]) -> Iterator[Array]:
    """The blocks, which are held no longer than they are looked at."""
    while blocks:
        yield blocks.pop(0)


def _in_memory(blocks: list[Array]) -> Array:
    return blocks[0] if len(blocks) == 1 else np.concatenate(blocks)


def _file(needed: int = 0) -> IO[bytes]:
    try:
        array_cache.check_room(needed)
        return tempfile.TemporaryFile(dir=array_cache.folder())
    except OSError as error:
        raise _Unwritten(error) from error


def _write(stream: IO[bytes], block: Any) -> None:
    # Told apart from what reading raises: damaged gzip data is an OSError too.
    try:
        stream.write(block)
    except OSError as error:
        raise _Unwritten(error) from error


def _mapped(stream: IO[bytes], kind: np.dtype[Any], shape: tuple[int, ...], order: Literal["C", "F"]) -> Array:
    try:
        stream.flush()
    except OSError as error:
        raise _Unwritten(error) from error
    array: Array = np.memmap(stream, dtype=kind, mode="r", shape=shape, order=order).view(np.ndarray)
    return array
