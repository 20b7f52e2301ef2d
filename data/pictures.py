"""Pictures of any size and kind → images of one shape: looked at, then decoded, each in parallel, and kept."""

from __future__ import annotations

import os
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
import PIL
import torch
from jaxtyping import Int64, UInt8
from PIL import Image
from torch import Tensor

from data import array_cache, decode
from data.decode import Content, Header, Look, Unreadable
from data.image_set import DataError
from data.reading import LeftOut, Reading, WasRead
from data.sizes import common_size
from system.progress import Advance, counted
from system.streams import say

MOST_LEFT_OUT = 0.2
"""Share of the pictures that may be unreadable; with more of them something else is wrong."""
SHOWN = 5
BLOCK = 64
"""Pictures that a thread takes at once."""
KEPT_FROM = 200
"""Pictures; fewer are read again in every command, which takes no time."""

T = TypeVar("T")
A = TypeVar("A")


class Picture(NamedTuple):
    """A picture that is to be read.

    Attributes:
        name: see `ImageSet.names`.
        content: its file, or what gives its bytes.
        stamp: tells whether it has changed since it was kept: its size and the time of its last change, say.
    """

    name: str
    content: Path | Callable[[], bytes]
    stamp: object = None


@dataclass(frozen=True)
class Pixels:
    """What came of pictures.

    Attributes:
        images: (k, c, h, w), of those that could be read, in their order.
        kept: (k,), their positions among the pictures.
        was_read: what was done.
        entry: where they are kept, if they are.
    """

    images: UInt8[Tensor, "k c h w"]
    kept: Int64[Tensor, " k"]
    was_read: WasRead
    entry: array_cache.Entry | None = None


@dataclass
class _Course:
    """What is learnt while pictures are decoded."""

    left_out: list[tuple[int, LeftOut]] = field(default_factory=list)
    vanished: int = 0


def read_pictures(
    pictures: Sequence[Picture], reading: Reading, name: str, stamp: object = None, notes: Iterable[str] = ()
) -> Pixels:
    """The images of the pictures that can be read.

    Args:
        pictures: at least one; looked through in order, twice.
        reading: how; see `Reading` for what is chosen by what they hold.
        name: what the user named, for messages.
        stamp: stands for all pictures' names and stamps, where going through these takes long.
        notes: what `WasRead.notes` begins with.

    Raises DataError where none can be read, too many cannot, or what can fits neither the cache nor the memory.
    """
    decode.colour_of(reading.background)
    # What makes classes and order stands in the names.
    look_for = (decode.VERSION, PIL.__version__, decode.readable_formats(), replace(reading, labels="auto", cache=True))
    told = stamp if stamp is not None else [(picture.name, picture.stamp) for picture in pictures]
    keeps = reading.cache and len(pictures) >= KEPT_FROM
    key = array_cache.key_of(look_for, told) if keeps else ""
    there = array_cache.find(key) if keeps else None
    if there is not None:
        with suppress(FileNotFoundError):  # it may be cleared at this moment
            return _of_entry(there, len(pictures), name, notes)
    with _quiet():
        made = _Made(pictures, reading, name, tuple(notes))
        if keeps or made.bytes_needed >= array_cache.LARGE:
            kept = made.in_a_file(key if keeps else None)
            if kept is not None:
                return kept
        return made.in_memory()


class _Made:
    """Pictures that have been looked at, and are about to be decoded."""

    def __init__(self, pictures: Sequence[Picture], reading: Reading, name: str, notes: tuple[str, ...]) -> None:
        self.pictures, self.reading, self.name, self.notes = pictures, reading, name, notes
        self.course = _Course()
        self.made = False
        headers, self.readable = self._headers()
        self.unopened = tuple(self.course.left_out)
        self.look = _look(headers, reading, self._bits(headers))
        self.headers = headers
        self.bytes_needed = len(headers) * self.look.channels * self.look.size[0] * self.look.size[1]

    def in_a_file(self, key: str | None) -> Pixels | None:
        """Decoded into the cache, under the key or without a name; None where it cannot be written."""
        try:
            array_cache.check_room(self.bytes_needed)
            if key is None:
                return self._result(array_cache.spilled(self._blocks()))
            place = os.path.abspath(self.name)
            family = array_cache.key_of(place, self.reading)
            entry = array_cache.add(key, self._blocks, self._about, place, family)
        except OSError as error:
            say(f"{array_cache.why_not(error)}: the images are held in memory.")
            return None
        if self.made:  # and not another process in the meantime
            size = self.bytes_needed / 1e6
            say(f"kept the images of {self.name} for the next command: {size:,.0f} MB in {array_cache.folder()}")
        return _of_entry(entry, len(self.pictures), self.name, self.notes)

    def in_memory(self) -> Pixels:
        _check_memory(self.bytes_needed, self.name)
        images = np.empty((len(self.readable), self.look.channels, *self.look.size), dtype=np.uint8)
        done = 0
        for block in self._blocks():
            images[done : done + len(block)] = block
            done += len(block)
        return self._result(torch.from_numpy(images[:done]))

    def _result(self, images: UInt8[Tensor, "k c h w"]) -> Pixels:
        about = self._about(images)
        return Pixels(
            images, _kept(about, len(self.pictures)), _was_read(about, len(self.pictures), self.name, self.notes)
        )

    def _headers(self) -> tuple[list[Header], list[int]]:
        headers, readable = [], []
        with counted("looking at pictures", len(self.pictures)) as advance:
            for i, header in enumerate(_tried(self.pictures, decode.read_header, advance)):
                if isinstance(header, Header):
                    headers.append(header)
                    readable.append(i)
                else:
                    self.course.left_out.append((i, header))
        self._check()
        return headers, readable

    def _bits(self, headers: Sequence[Header]) -> int | None:
        """How many bits the pictures with more than 8 make use of, all of them together."""
        deep = [self.pictures[i] for i, header in zip(self.readable, headers, strict=True) if header.deep]
        if not deep or self.reading.bits is not None:
            return self.reading.bits if deep else None
        with counted("looking for the brightest of 16-bit pictures", len(deep)) as advance:
            highest = max(
                (value for value in _tried(deep, decode.highest_value, advance) if isinstance(value, int)), default=0
            )
        return next(bits for bits in (8, 10, 12, 14, 16) if highest < 2**bits)

    def _blocks(self) -> Iterator[UInt8[np.ndarray, "_ c h w"]]:
        chosen = [self.pictures[i] for i in self.readable]
        self.course = _Course(list(self.unopened))
        block: list[UInt8[np.ndarray, "c h w"]] = []
        with counted("reading pictures", len(chosen)) as advance:
            results = _tried(chosen, lambda content: decode.decode(content, self.look), advance)
            for i, result in zip(self.readable, results, strict=True):
                if isinstance(result, LeftOut):
                    self.course.left_out.append((i, result))
                    continue
                self.course.vanished += result.vanished
                block.append(result.pixels)
                if len(block) == BLOCK:
                    yield np.stack(block)
                    block = []
            if block:
                yield np.stack(block)
        self._check()

    def _about(self, images: UInt8[Tensor, "k c h w"]) -> dict[str, Any]:
        """All that there is to know of the images, as plain values for the cache."""
        self.made = True
        transparent = any(header.transparent for header in self.headers)
        sized = any(header.size != self.look.size for header in self.headers)
        deep = any(header.deep for header in self.headers)
        return {
            "left_out": [[i, *left] for i, left in sorted(self.course.left_out)],
            "size": list(self.look.size),
            "channels": self.look.channels,
            "fit": self.look.fit if sized else None,
            "background": self.reading.background if transparent or (sized and self.look.fit == "contain") else None,
            "bits": self.look.bits if deep else None,
            "notes": self._notes(deep),
            "sizes": [[*size, count] for size, count in Counter(header.size for header in self.headers).most_common()],
        }

    def _notes(self, deep: bool) -> list[str]:
        notes = []
        if deep and self.look.bits < 16:
            notes.append(f"16-bit pictures hold {self.look.bits} bits: 0 to {2**self.look.bits - 1:,} became 0 to 255")
        if self.course.vanished:
            other = "white" if self.reading.background in ("grey", "gray") else "grey"
            shown = "1 picture shows" if self.course.vanished == 1 else f"{self.course.vanished:,} pictures show"
            notes.append(f"{shown} nothing on {self.reading.background}: data.background={other} brings out the shapes")
        return notes

    def _check(self) -> None:
        """Raises DataError where more pictures cannot be read than may be."""
        left, n = [file for _, file in sorted(self.course.left_out)], len(self.pictures)
        if not left or (len(left) <= MOST_LEFT_OUT * n and self.reading.unreadable == "leave-out"):
            return
        shown = [f"{file.name} ({file.reason})" for file in left[:SHOWN]]
        more = [f"… and {len(left) - SHOWN} more"] if len(left) > SHOWN else []
        lines = "".join(f"\n  - {line}" for line in shown + more)
        why = "" if self.reading.unreadable == "stop" else f" (up to {MOST_LEFT_OUT:.0%} are left out)"
        raise DataError(
            f"{self.name}: {len(left)} of {n} image files cannot be read{why}. Mend them or take them away:{lines}"
        )


def _look(headers: Sequence[Header], reading: Reading, bits: int | None) -> Look:
    background = decode.colour_of(reading.background)
    size = reading.size or common_size([header.size for header in headers])
    shown = any(header.transparent for header in headers) or reading.fit == "contain"
    grey = all(header.grey for header in headers) and (len(set(background)) == 1 or not shown)
    return Look(size, reading.channels or (1 if grey else 3), reading.fit, background, bits or 16)


def _of_entry(entry: array_cache.Entry, n: int, name: str, notes: Iterable[str]) -> Pixels:
    return Pixels(entry.images(), _kept(entry.about, n), _was_read(entry.about, n, name, notes), entry)


def _kept(about: dict[str, Any], n: int) -> Int64[Tensor, " k"]:
    there = torch.ones(n, dtype=torch.bool)
    there[[i for i, _, _ in about["left_out"]]] = False
    return there.nonzero().flatten()


def _was_read(about: dict[str, Any], n: int, name: str, notes: Iterable[str]) -> WasRead:
    left = tuple(LeftOut(file, reason) for _, file, reason in about["left_out"])
    height, width = about["size"]
    return WasRead(
        name,
        found=n,
        read=n - len(left),
        left_out=left,
        size=(height, width),
        channels=about["channels"],
        fit=about["fit"],
        background=about["background"],
        bits=about["bits"],
        notes=(*notes, *about["notes"]),
        sizes=tuple((height, width, count) for height, width, count in about.get("sizes", [])),
    )


def _tried(pictures: Iterable[Picture], function: Callable[[Content], A], advance: Advance) -> Iterator[A | LeftOut]:
    """`function` of every picture's content, in order, by several threads; or why it cannot be read.

    Threads, because Pillow lets others run while it decodes and scales. Few blocks are under way at once, so that
    memory stays bounded.
    """

    def of_one(picture: Picture) -> A | LeftOut:
        try:
            content = picture.content if isinstance(picture.content, Path) else picture.content()
            return function(content)
        except Unreadable as error:
            return LeftOut(picture.name, str(error))

    threads = os.cpu_count() or 1
    blocks = _in_blocks(pictures)
    done = 0
    with ThreadPoolExecutor(threads, thread_name_prefix="pictures") as pool:
        under_way: list[Future[list[A | LeftOut]]] = []
        try:
            while True:
                for block in islice(blocks, 2 * threads - len(under_way)):
                    under_way.append(pool.submit(lambda block: [of_one(picture) for picture in block], block))
                if not under_way:
                    return
                results = under_way.pop(0).result()
                yield from results
                done += len(results)
                advance(done)
        finally:
            for future in under_way:
                future.cancel()


def _in_blocks(items: Iterable[T]) -> Iterator[list[T]]:
    remaining = iter(items)
    while block := list(islice(remaining, BLOCK)):
        yield block


@contextmanager
def _quiet() -> Iterator[None]:
    """Within the block Pillow neither warns nor refuses by its own limits: ours, in `data.decode`, name the file."""
    limit = Image.MAX_IMAGE_PIXELS
    Image.MAX_IMAGE_PIXELS = None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        Image.MAX_IMAGE_PIXELS = limit


def _check_memory(needed: int, name: str) -> None:
    """Raises DataError where so many bytes are not free."""
    try:
        free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return
    if needed > max(free, total // 2):
        raise DataError(
            f"{name} needs {needed / 1e9:,.1f} GB, more than the memory has. With the cache the images stay on the "
            "disk: let $DEEP_CLUSTERING_CACHE name a folder with room. Or make them smaller: data.size=32."
        )
