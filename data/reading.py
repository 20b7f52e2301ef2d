"""How a person wants pictures read, and what was done with them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

Fit = Literal["cover", "contain", "stretch"]

SHOWN = 4
"""Kinds of what was left out that a line names, at most."""


@dataclass(frozen=True)
class Reading:
    """How pictures are read. The defaults leave the choice to what the set holds.

    Attributes:
        size: height and width of all images; None: chosen by what the set holds.
        channels: 1, grey, or 3, colour; None: 1 where all pictures are grey.
        fit: how a picture of another shape gets this size. cover: scaled until it covers it, and cropped around the
            centre. contain: scaled until it fits in, on the background. stretch: scaled without its proportions.
        background: what shows through transparent parts and around contained pictures: white, black, grey, #rrggbb.
        unreadable: whether files that cannot be read are left out, or stop the reading.
        labels: auto: sub-folders are classes. none: all pictures are taken, from all sub-folders, without classes.
        bits: how many bits pictures of 16 bits make use of; None: by the largest value in the set.
        cache: whether what was read is kept for the next command.
        kind: points: rows of numbers are points, also where they could be the pixels of images.
    """

    size: tuple[int, int] | None = None
    channels: Literal[1, 3] | None = None
    fit: Fit = "cover"
    background: str = "white"
    unreadable: Literal["leave-out", "stop"] = "leave-out"
    labels: Literal["auto", "none"] = "auto"
    bits: int | None = None
    cache: bool = True
    kind: Literal["auto", "points"] = "auto"


class LeftOut(NamedTuple):
    """A file or folder that was not read."""

    name: str
    reason: str
    """In a few words, such as "truncated": equal reasons are counted together."""


@dataclass(frozen=True)
class WasRead:
    """What a reader did with what the user named, all splits together.

    Attributes:
        name: what the user named.
        found: pictures that were there.
        read: of them, how many became images.
        left_out: the others, and folders that could not be looked into.
        size: height and width of the images.
        channels: 1 or 3.
        fit: how pictures of another size were made fit; None where all had this size.
        background: what shows through transparent pictures; None where none was needed.
        bits: how many bits pictures of 16 bits made use of; None where there were none.
        notes: what else a person should know, in short sentences without a full stop.
        sizes: the pictures' own heights and widths and how many there are of each, the commonest first.
        dimensions: numbers of a point, where the data are points; None where they are images.
    """

    name: str
    found: int
    read: int
    left_out: tuple[LeftOut, ...] = ()
    size: tuple[int, int] = (0, 0)
    channels: int = 1
    fit: str | None = None
    background: str | None = None
    bits: int | None = None
    notes: tuple[str, ...] = ()
    sizes: tuple[tuple[int, int, int], ...] = ()
    dimensions: int | None = None

    def line(self) -> str:
        """One line for people."""
        if self.dimensions is not None:
            return "; ".join([f"read {self.read:,} points of {self.dimensions:,} numbers of {self.name}", *self.notes])
        height, width = self.size
        shown = [f"read {self.read:,} of {self.found:,} images of {self.name}{self._left_out()}"]
        shown += [f"{height}×{width} pixels", *([] if self.fit is None else [self.fit])]
        shown += ["grey" if self.channels == 1 else "colour"]
        shown += [] if self.background is None else [f"on {self.background}"]
        return "; ".join([", ".join(shown), *self.notes])

    def reading(self) -> dict[str, Any]:
        """What new pictures must be read by to be like these; plain values, for a checkpoint."""
        if self.dimensions is not None:
            return {"kind": "points"}
        return {
            "size": list(self.size),
            "channels": self.channels,
            "fit": self.fit,
            "background": self.background,
            "bits": self.bits,
        }

    def _left_out(self) -> str:
        if not self.left_out:
            return ""
        reasons = Counter(file.reason for file in self.left_out).most_common()
        shown = [f"{count:,} {reason}" for reason, count in reasons[:SHOWN]]
        others = sum(count for _, count in reasons[SHOWN:])
        return f" ({len(self.left_out):,} left out: {', '.join(shown + ([f'{others:,} others'] if others else []))})"


def as_before(done: dict[str, Any], asked: Reading | None = None) -> Reading:
    """How new pictures are read to be like those of which `WasRead.reading` is `done`.

    What `done` does not tell, because no picture needed it, is as `asked`.
    """
    asked = asked or Reading()
    told = {key: value for key, value in done.items() if value is not None}
    if "size" in told:
        told["size"] = tuple(told["size"])
    return replace(asked, **told)
