"""The training images where the steps need them: on the device, or copied there ahead of use."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import torch
from jaxtyping import Int64, Num
from torch import Tensor

from data.array_cache import LARGE

RESIDENT_SHARE = 0.25
"""Of a GPU's memory: training images that take less live there for the whole run."""


class TrainingImages:
    """Batches of the training images, on the device.

    On the CPU they are rows of the images. Images that fit into `RESIDENT_SHARE` of a device's memory are copied there
    once. Of others every batch is gathered by a thread, one batch ahead of use: into pinned memory, and also on the CPU
    where the images are so many that they are mapped from a file.

    Args:
        images: on the CPU; they may be mapped from a file.
        device: where batches go.
    """

    def __init__(self, images: Num[Tensor, "n c h w"], device: torch.device) -> None:
        self.images, self.device = images, device
        self.resident = images.to(device) if _fits(images, device) else None
        self._order: Int64[Tensor, " n"] = torch.arange(0)
        self._ahead: Ahead | None = None

    def begin(self, order: Int64[Tensor, " m"], batch: int, rows: slice) -> None:
        """Take the order of an epoch.

        Args:
            order: positions of the images, on the CPU.
            batch: images a step, over all processes.
            rows: this process's rows of a batch.
        """
        self._batch, self._rows = batch, rows
        self._order = order.to(self.device)
        if self.resident is None:

            def gather(number: int) -> Num[Tensor, "b c h w"]:
                gathered = self.images[order[number * batch :][rows]]
                return gathered if self.device.type == "cpu" else gathered.pin_memory()

            self._ahead = Ahead(gather, len(order) // batch)

    def indices(self, number: int) -> Int64[Tensor, " b"]:
        """The positions of this process's rows of the epoch's batch of that number, on the device."""
        return self._order[number * self._batch :][self._rows]

    def rows(self, number: int) -> Num[Tensor, "b c h w"]:
        """Their images, on the device."""
        if self.resident is not None:
            return self.resident[self.indices(number)]
        assert self._ahead is not None, "an epoch begins before its first batch"
        return self._ahead.take(number).to(self.device, non_blocking=True)


class Ahead:
    """Values by their number, of which a thread makes the next one while the present one is used.

    Args:
        make: a value from its number.
        count: numbers run from 0 to this less one.
    """

    _thread = ThreadPoolExecutor(1, thread_name_prefix="batches")

    def __init__(self, make: Callable[[int], Tensor], count: int) -> None:
        self.make, self.count = make, count
        self._next: tuple[int, Future[Tensor]] | None = None

    def take(self, number: int) -> Tensor:
        """The value of `number`; the next one is begun."""
        begun, self._next = self._next, None
        made = begun[1] if begun is not None and begun[0] == number else self._thread.submit(self.make, number)
        if number + 1 < self.count:
            self._next = number + 1, self._thread.submit(self.make, number + 1)
        return made.result()


def _fits(images: Tensor, device: torch.device) -> bool:
    if device.type == "cpu":
        return images.nbytes < LARGE
    if device.type != "cuda":
        return True  # the memory's size is not told
    _, total = torch.cuda.mem_get_info(device)
    return images.nbytes <= RESIDENT_SHARE * total
