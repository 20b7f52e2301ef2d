"""A training step that is captured once and replayed: one launch in place of hundreds from Python.

What a captured step reads stands in tensors that stay where they are: the positions of the batch's images, its noise,
the learning rate, weights, moments, and the state of the method. Where one of these is another tensor than it was, the
step is captured anew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from data.noise import Noise
from engine.randomness import BatchNoise

PLAIN_FIRST = 3
"""Steps that are taken from Python first. In them libraries choose their kernels, and the optimiser makes its state."""


def capture_cuda(body: Callable[[], Tensor]) -> tuple[Callable[[], object], Tensor]:
    """A CUDA graph of `body`: what replays it, and the tensor that it then leaves its result in."""
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        result = body()
    return graph.replay, result


CAPTURES: dict[str, Callable[[Callable[[], Tensor]], tuple[Callable[[], object], Tensor]]] = {"cuda": capture_cuda}
"""How a step is captured, by the kind of device; there is none for others."""


class StepGraph:
    """Takes steps, captured where that can be done.

    Args:
        body: one step from positions of images and their noise; returns the losses, stacked.
        reads: the objective and the optimiser, whose tensors the step reads.
        size: images in a batch.
        device: where the step runs; of a kind in `CAPTURES`.
        say: told once when the step cannot be captured.
    """

    def __init__(
        self,
        body: Callable[[Int64[Tensor, " b"], Noise], Float[Tensor, " losses"]],
        reads: tuple[nn.Module, Any],
        size: int,
        device: torch.device,
        say: Callable[[str], None],
    ) -> None:
        self.body, self.reads, self.device, self.say = body, reads, device, say
        self._index = torch.zeros(size, dtype=torch.int64, device=device)
        self._noise = BatchNoise(0, size, slice(None), device)
        self._plain = 0
        self._replay: Callable[[], object] | None = None
        self._losses: Tensor | None = None
        self._read: list[object] = []
        self._refused = False

    def take(self, index: Int64[Tensor, " b"], seed: int) -> Float[Tensor, " losses"]:
        """One step on the images at `index`, with the noise of `seed`."""
        self._index.copy_(index)
        self._noise.redraw(seed)
        if self._replay is None and self._plain >= PLAIN_FIRST and not self._refused:
            self._capture()
        if self._replay is None or self._losses is None:
            self._plain += 1
            return self.body(self._index, self._noise)
        self._replay()
        return self._losses.clone()

    def check(self) -> None:
        """Begin with plain steps again where the step would read other tensors than it did.

        Among them are moments that the optimiser makes anew: within a captured step it would make them in every replay.
        """
        reads = list(held(self.reads))
        if reads != self._read:
            self._read, self._replay, self._plain = reads, None, 0

    def _capture(self) -> None:
        try:
            self._replay, self._losses = CAPTURES[self.device.type](lambda: self.body(self._index, self._noise))
        except RuntimeError as error:
            self._refused = True
            self.say(f"its steps are launched one by one, since they cannot be captured: {str(error).splitlines()[0]}")
        self._read = list(held(self.reads))


def held(value: Any, met: set[int] | None = None) -> Iterator[object]:
    """What hangs on an object and a captured step would not see change: where its tensors are, and plain values."""
    met = set() if met is None else met
    if isinstance(value, Tensor):
        yield value.data_ptr() if type(value) in (Tensor, nn.Parameter) else id(value)
    elif value is None or isinstance(value, bool | int | float | str):
        yield value
    elif id(value) not in met:
        met.add(id(value))
        if isinstance(value, Mapping):
            for part in value.values():
                yield from held(part, met)
        elif isinstance(value, list | tuple):
            for part in value:
                yield from held(part, met)
        elif isinstance(value, nn.Module) or hasattr(value, "param_groups"):
            yield from held(vars(value), met)
