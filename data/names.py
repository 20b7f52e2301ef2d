"""Where each image of a set came from, held compactly: a million rows of one file are no million strings."""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, overload

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor

Positions = Int64[np.ndarray, " n"]


@dataclass(frozen=True)
class _Rows:
    """The rows of one file: "digits.csv[0]", "digits.csv[1]", …"""

    file: str
    first: int
    count: int

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, position: int) -> str:
        return f"{self.file}[{self.first + position}]"

    def state(self) -> dict[str, Any]:
        return {"file": _packed(os.fsencode(self.file)), "first": self.first, "count": self.count}


@dataclass(frozen=True)
class _Texts:
    """Names of any kind, one after another as bytes: names of files need not be UTF-8."""

    content: bytes
    ends: Positions

    def __len__(self) -> int:
        return len(self.ends)

    def __getitem__(self, position: int) -> str:
        start = int(self.ends[position - 1]) if position else 0
        return os.fsdecode(self.content[start : int(self.ends[position])])

    def state(self) -> dict[str, Any]:
        return {"content": _packed(self.content), "ends": torch.from_numpy(self.ends)}


class Names(Sequence[str]):
    """The name of every image, in the order of the images.

    A name is a path relative to what the user named ("cats/a.png"), a member of an archive, or a row of a file
    ("digits.csv[17]").
    """

    def __init__(self, parts: Sequence[_Rows | _Texts], chosen: Positions | None = None) -> None:
        self._parts = tuple(part for part in parts if len(part))
        self._starts = np.array([0, *accumulate(len(part) for part in self._parts)], dtype=np.int64)
        self._chosen = chosen

    @staticmethod
    def of(names: Iterable[str]) -> Names:
        """The names as they are."""
        encoded = [os.fsencode(name) for name in names]
        ends: Positions = np.cumsum([len(name) for name in encoded], dtype=np.int64)
        return Names([_Texts(b"".join(encoded), ends)])

    @staticmethod
    def rows(file: str, count: int, first: int = 0) -> Names:
        """ "file[first]" and so on, `count` of them."""
        return Names([_Rows(file, first, count)])

    def subset(self, index: Int64[Tensor, " m"] | Int64[np.ndarray, " m"] | Sequence[int]) -> Names:
        """The names at `index`, (m,), in that order."""
        positions: Positions = np.asarray(index, dtype=np.int64).reshape(-1)
        if len(positions) and not (-len(self) <= positions.min() and positions.max() < len(self)):
            raise IndexError(f"positions {positions.min()} to {positions.max()} of {len(self)} names")
        positions = positions % max(len(self), 1)
        return Names(self._parts, positions if self._chosen is None else self._chosen[positions])

    def state(self) -> dict[str, Any]:
        """Tensors and plain values, for a checkpoint. `from_state` takes them back."""
        if self._chosen is not None and any(isinstance(part, _Texts) for part in self._parts):
            return Names.of(self).state()  # without the names that are not chosen
        chosen = None if self._chosen is None else torch.from_numpy(self._chosen)
        return {"parts": [part.state() for part in self._parts], "chosen": chosen}

    @staticmethod
    def from_state(state: Mapping[str, Any]) -> Names:
        """The names that `state` was asked of."""
        parts: list[_Rows | _Texts] = [
            _Rows(os.fsdecode(_unpacked(part["file"])), part["first"], part["count"])
            if "file" in part
            else _Texts(_unpacked(part["content"]), part["ends"].numpy())
            for part in state["parts"]
        ]
        return Names(parts, None if state["chosen"] is None else state["chosen"].numpy())

    def plain(self) -> list[Any]:
        """Plain values, for JSON: a row's number beside its file's name, or the names. `from_plain` takes them back."""
        if self._chosen is None and all(isinstance(part, _Rows) for part in self._parts):
            return [[part.file, part.first, part.count] for part in self._parts if isinstance(part, _Rows)]
        return list(self)

    @staticmethod
    def from_plain(plain: Sequence[Any]) -> Names:
        """The names that `plain` was asked of."""
        if all(isinstance(part, str) for part in plain):
            return Names.of(plain)
        return Names([_Rows(str(file), int(first), int(count)) for file, first, count in plain])

    def __len__(self) -> int:
        return int(self._starts[-1]) if self._chosen is None else len(self._chosen)

    @overload
    def __getitem__(self, position: int) -> str: ...
    @overload
    def __getitem__(self, position: slice) -> Names: ...
    def __getitem__(self, position: int | slice) -> str | Names:
        if isinstance(position, slice):
            return self.subset(np.arange(len(self))[position])
        if not -len(self) <= position < len(self):
            raise IndexError(f"name {position} of {len(self)}")
        at = position % len(self)
        if self._chosen is not None:
            at = int(self._chosen[at])
        part = int(np.searchsorted(self._starts, at, side="right")) - 1
        return self._parts[part][at - int(self._starts[part])]

    def __iter__(self) -> Iterator[str]:
        return (self[position] for position in range(len(self)))

    def __add__(self, other: Names) -> Names:
        parts = (*self._parts, *other._parts)
        if self._chosen is None and other._chosen is None:
            return Names(parts)
        return Names(parts, np.concatenate([self._positions(), int(self._starts[-1]) + other._positions()]))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Names) and len(self) == len(other) and all(map(str.__eq__, self, other))

    __hash__ = None  # type: ignore[assignment]  # equal ones may be held in different ways

    def __repr__(self) -> str:
        shown = ", ".join(map(repr, self[:3])) + (", …" if len(self) > 3 else "")
        return f"Names({len(self):,}: {shown})"

    def _positions(self) -> Positions:
        return np.arange(len(self), dtype=np.int64) if self._chosen is None else self._chosen


def path_ends(name: str) -> list[str]:
    """A path with slashes, then without its first part, and so on: "a/b/c.png", "b/c.png", "c.png"."""
    parts = [part for part in name.replace("\\", "/").split("/") if part not in ("", ".")]
    return ["/".join(parts[start:]) for start in range(len(parts))] or [""]


def _packed(content: bytes) -> Tensor:
    # Names of one set are much alike: a tenth of the bytes is usual.
    return torch.frombuffer(bytearray(zlib.compress(content, 1)), dtype=torch.uint8)


def _unpacked(content: Tensor) -> bytes:
    return zlib.decompress(content.numpy().tobytes())
