"""Images that were decoded once, kept in the project's cache as files that are mapped into memory.

An entry is two files in `images/` of the cache: KEY.u8, the pixels as they lie in memory, and KEY.json, what is known
of them. The second is written last: an entry without it is not there. The key says what was read and how.
"""

from __future__ import annotations

import errno
import hashlib
import json
import math
import os
import shutil
import tempfile
import time
import warnings
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from jaxtyping import Int64, Num, UInt8
from torch import Tensor

from system.atomic import remove_torn, write_atomically
from system.cache import root
from system.lock import locked
from system.streams import say

LARGE = 256 * 2**20
"""Bytes from which on images are mapped from a file and not held in memory, also where they are not kept."""

Blocks = Iterable[UInt8[np.ndarray, "_ c h w"]]


@dataclass(frozen=True)
class Entry:
    """Images that are kept.

    Attributes:
        file: their pixels.
        shape: (n, c, h, w).
        about: plain values that their maker told of them.
    """

    file: Path
    shape: tuple[int, int, int, int]
    about: dict[str, Any]

    def images(self) -> UInt8[Tensor, "n c h w"]:
        """The images, mapped."""
        return mapped(self.file, self.shape)

    def fact(self, name: str, compute: Callable[[], str]) -> str:
        """What `compute` finds of the images, kept beside them from the first time on."""
        about = self.file.with_suffix(".json")
        try:
            content = json.loads(about.read_text())
            if name not in (facts := content.setdefault("facts", {})):
                facts[name] = compute()
                text = json.dumps(content)
                write_atomically(about, lambda stream: stream.write(text.encode()))
            return str(facts[name])
        except (OSError, ValueError):
            return compute()


def folder() -> Path:
    """Where the entries are."""
    return root() / "images"


def key_of(*what: object) -> str:
    """The key of what was read and how: values that `repr` tells apart."""
    digest = hashlib.sha256()
    for value in what:
        digest.update(repr(value).encode("utf-8", "surrogateescape") + b"\0")
    return digest.hexdigest()[:32]


def mapped(file: Path, shape: tuple[int, ...], offset: int = 0) -> UInt8[Tensor, ...]:
    """Bytes of a file as an array, read when they are looked at."""
    if 0 in shape:
        return torch.zeros(shape, dtype=torch.uint8)
    return _shared(np.memmap(file, dtype=np.uint8, mode="r", offset=offset, shape=shape))


def find(key: str) -> Entry | None:
    """The entry of that key, if there is one and it is whole."""
    file, about = folder() / f"{key}.u8", folder() / f"{key}.json"
    try:
        content = json.loads(about.read_text())
        n, c, h, w = content["shape"]
        if file.stat().st_size != math.prod((n, c, h, w)):
            return None
        return Entry(file, (n, c, h, w), content["about"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def add(
    key: str,
    make: Callable[[], Blocks],
    finish: Callable[[UInt8[Tensor, "n c h w"]], dict[str, Any]],
    place: str,
    family: str = "",
) -> Entry:
    """The entry of that key, made unless another process has made it in the meantime.

    Args:
        key: see `key_of`.
        make: gives the images, block by block.
        finish: called after the last block, with all images; tells what is to be known of them.
        place: what was read, for people.
        family: shared by entries of which only the newest is of use: of one place, read in one way.

    Raises:
        OSError: when the cache cannot be written, or is full.
    """
    with _alone(key):
        there = find(key)
        if there is not None:
            return there
        file = folder() / f"{key}.u8"
        remove_torn(file)
        shape: list[int] = []

        def write(stream: BinaryIO) -> None:
            shape[:], _ = _written(stream, make())

        write_atomically(file, write)
        n, c, h, w = shape
        about = finish(mapped(file, (n, c, h, w)))
        content = json.dumps({"shape": shape, "place": place, "family": family, "made": time.time(), "about": about})
        write_atomically(folder() / f"{key}.json", lambda stream: stream.write(content.encode()))
        _remove_older(key, family)
        return Entry(file, (n, c, h, w), about)


def _remove_older(key: str, family: str) -> None:
    """Remove what the entry of that key stands in for. Who has it mapped keeps it."""
    for about in folder().glob("*.json") if family else ():
        try:
            if about.stem != key and json.loads(about.read_text()).get("family") == family:
                about.unlink()
                about.with_suffix(".u8").unlink()
        except (OSError, ValueError):
            continue


def spilled(blocks: Iterable[Num[np.ndarray, "_ c h w"]]) -> Num[Tensor, "n c h w"]:
    """The images in a file of the cache that has no name and goes with the process, mapped.

    Raises:
        OSError: when the cache cannot be written, or is full.
    """
    folder().mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder()) as stream:
        shape, dtype = _written(stream, blocks)
        stream.flush()
        return _shared(np.memmap(stream, dtype=dtype, mode="r", shape=tuple(shape)))


def rows(images: Num[Tensor, "n c h w"], index: Int64[Tensor, " m"]) -> Num[Tensor, "m c h w"]:
    """The images at `index`; where they are `LARGE`, in a file and not in memory."""
    size = len(index) * images[0].nbytes if len(images) else 0
    if size < LARGE:
        return images[index]
    step = max(1, LARGE // 8 // images[0].nbytes)
    blocks = (images[index[start : start + step]].numpy() for start in range(0, len(index), step))
    return _spilled_if_possible(blocks, lambda: images[index])


def joined(parts: list[Num[Tensor, "_ c h w"]]) -> Num[Tensor, "n c h w"]:
    """All images in one; where they are `LARGE`, in a file and not in memory."""
    if len(parts) == 1:
        return parts[0]
    if sum(part.nbytes for part in parts) < LARGE:
        return torch.cat(parts)
    step = max(1, LARGE // 8 // parts[0][0].nbytes)
    blocks = (part[start : start + step].numpy() for part in parts for start in range(0, len(part), step))
    return _spilled_if_possible(blocks, lambda: torch.cat(parts))


def entries() -> list[tuple[Path, int, str, float]]:
    """Of every entry its file of pixels, its size in bytes, what was read, and when (seconds since 1970)."""
    found = []
    for about in sorted(folder().glob("*.json")):
        try:
            content = json.loads(about.read_text())
            file = about.with_suffix(".u8")
            found.append((file, file.stat().st_size, str(content["place"]), float(content["made"])))
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return found


def clear() -> int:
    """Remove all entries, and what is left of broken ones. How many bytes that frees. Running commands keep theirs."""
    freed = 0
    for file in folder().glob("*"):
        try:
            size = file.stat().st_size
            file.unlink()
            freed += size
        except OSError:
            continue
    return freed


def check_room(needed: int) -> None:
    """Raises OSError where the cache's disk has no room for so many bytes: it is not filled to find that out."""
    folder().mkdir(parents=True, exist_ok=True)
    if shutil.disk_usage(folder()).free < needed:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def why_not(error: OSError) -> str:
    """Why the cache could not be written, for people."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"the disk of {folder()} is full"
    return f"{folder()} cannot be written ({error.strerror or error})"


def _shared(array: Num[np.ndarray, ...]) -> Num[Tensor, ...]:
    """The array as a tensor that shares its memory, which may only be read: nothing here writes to images."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The given NumPy array is not writable", UserWarning)
        return torch.from_numpy(array)


def _written(stream: Any, blocks: Iterable[Num[np.ndarray, "_ c h w"]]) -> tuple[list[int], np.dtype[Any]]:
    count, shape, dtype = 0, [0, 0, 0], np.dtype(np.uint8)
    for block in blocks:
        stream.write(np.ascontiguousarray(block).data)
        count += len(block)
        shape, dtype = list(block.shape[1:]), block.dtype
    return [count, *shape], dtype


def _spilled_if_possible(blocks: Iterable[Num[np.ndarray, "_ c h w"]], otherwise: Callable[[], Tensor]) -> Tensor:
    try:
        return spilled(blocks)
    except OSError as error:
        say(f"{why_not(error)}: the images are held in memory.")
        return otherwise()


def _alone(key: str) -> AbstractContextManager[object]:
    told = False

    def wait() -> bool:
        nonlocal told
        if not told:
            say("another command reads the same images; waiting for it.")
            told = True
        time.sleep(0.1)
        return True

    folder().mkdir(parents=True, exist_ok=True)
    return locked(folder() / f"{key}.lock", wait) if os.name == "posix" else nullcontext()
