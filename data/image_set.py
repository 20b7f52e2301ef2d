"""The one form that images take in this project, uint8 tensors in memory; and points, float32 tensors beside them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from jaxtyping import Int64, Num
from torch import Tensor

from data.array_cache import joined, rows
from data.names import Names
from data.reading import WasRead

HASHED_AT_ONCE = 2**24
"""Bytes."""


class DataError(Exception):
    """Images that cannot be found, read or used. The message is for the person who named them."""


class NoSplitError(DataError):
    """A set that has no such split. All else about it is in order."""


@dataclass(frozen=True)
class ImageSet:
    """Images of one split of one data set, with labels where there are any; or points, which take the images' place.

    Training receives `images` alone; `labels` are for scoring.

    Attributes:
        name: what the user called it: a source's name or a path.
        split: "train", "test", "all", or "validation" for what a run held out.
        images: (n, c, h, w), uint8, 0 to 255. Points of d numbers: (n, d, 1, 1), float32.
        labels: (n,), int64, 0 to len(class_names) - 1, or None.
        class_names: the name of every class, in the labels' order; empty without labels.
        origin: where the images were found, for people: a folder, a file or a package.
        names: where each image came from: a path below what the user named, or a row of a file; None where that is
            not known.
        was_read: what reading did with the files; None where there was nothing to decide.
    """

    name: str
    split: str
    images: Num[Tensor, "n c h w"]
    labels: Int64[Tensor, " n"] | None = None
    class_names: tuple[str, ...] = ()
    origin: str = ""
    names: Names | None = None
    was_read: WasRead | None = None

    def __post_init__(self) -> None:
        if self.images.ndim != 4 or not (self.images.dtype == torch.uint8 or self._may_be_points()):
            raise DataError(
                f"{self.name}: images must be uint8 of shape (n, c, h, w), or points float32 of shape (n, d, 1, 1); "
                f"received {self.images.dtype} of shape {tuple(self.images.shape)}."
            )
        if len(self.images) == 0:
            raise DataError(f"{self.name} ({self.split}) holds no images.")
        if 0 in self.images.shape[1:]:
            channels, height, width = self.images.shape[1:]
            raise DataError(
                f"{self.name} ({self.split}): the images have {channels} channels and {height}×{width} pixels; "
                "none of these may be 0."
            )
        if self.names is not None and len(self.names) != len(self.images):
            raise DataError(f"{self.name}: {len(self.images)} images but {len(self.names)} names.")
        if self.labels is None:
            return
        if self.labels.shape != self.images.shape[:1]:
            raise DataError(f"{self.name}: {len(self.images)} images but {self.labels.numel()} labels.")
        if self.labels.min() < 0 or self.labels.max() >= len(self.class_names):
            raise DataError(
                f"{self.name}: labels run from {int(self.labels.min())} to {int(self.labels.max())}, "
                f"but there are {len(self.class_names)} class names."
            )

    def __len__(self) -> int:
        return len(self.images)

    @property
    def are_points(self) -> bool:
        """Whether there is nothing to look at."""
        return self.images.is_floating_point()

    def _may_be_points(self) -> bool:
        return self.images.dtype == torch.float32 and self.images.shape[2:] == (1, 1)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 (hex) of the images' shape and bytes. Labels are left out: they change no training."""
        return fingerprint(self.images)

    def know_fingerprint(self, known: str) -> None:
        """Take what `fingerprint` would compute, where it was kept beside the images."""
        self.__dict__["fingerprint"] = known

    def subset(self, index: Int64[Tensor, " m"]) -> ImageSet:
        """The images at `index`, (m,), in that order."""
        labels = None if self.labels is None else self.labels[index]
        names = None if self.names is None else self.names.subset(index)
        return replace(self, images=rows(self.images, index), labels=labels, names=names)


def fingerprint(images: Num[Tensor, "n c h w"]) -> str:
    """SHA-256 (hex) of the images' shape and bytes, computed without a copy of them all."""
    digest = hashlib.sha256(repr(tuple(images.shape)).encode())
    step = max(1, HASHED_AT_ONCE // max(1, images[0].numel()))
    for start in range(0, len(images), step):
        digest.update(images[start : start + step].contiguous().numpy().data)
    return digest.hexdigest()


def concatenate(first: ImageSet, second: ImageSet, split: str = "all") -> ImageSet:
    """Both sets in one, `first` before `second`. Labels are kept when both have them."""
    if first.images.shape[1:] != second.images.shape[1:]:
        raise DataError(
            f"cannot join images of shape {tuple(first.images.shape[1:])} and {tuple(second.images.shape[1:])}."
        )
    labels = None
    if first.labels is not None and second.labels is not None:
        if first.class_names != second.class_names:
            raise DataError(
                f"cannot join sets of different classes: {', '.join(first.class_names)} "
                f"and {', '.join(second.class_names)}."
            )
        labels = torch.cat([first.labels, second.labels])
    names = None if first.names is None or second.names is None else first.names + second.names
    return ImageSet(
        first.name,
        split,
        joined([first.images, second.images]),
        labels,
        class_names=first.class_names if labels is not None else (),
        origin=first.origin if first.origin == second.origin else f"{first.origin} and {second.origin}",
        names=names,
        was_read=first.was_read if first.was_read == second.was_read else None,
    )
