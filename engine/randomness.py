"""All randomness of a run, from its seed: the same for any number of processes, and after a resume.

The order of images and the noise of a batch are functions of (seed, phase, epoch or step). Only what draws from
torch's global generators inside a network (dropout) needs their state in the checkpoint.
"""

from __future__ import annotations

import hashlib
import random
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor


def seed_all(seed: int) -> None:
    """Seed python, numpy and torch, and ask CUDA for its deterministic kernels."""
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002 (libraries draw from the global generator)
    torch.manual_seed(seed)
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.benchmark = False


def derive_seed(*parts: int | str) -> int:
    """A 63-bit seed that depends on all `parts`."""
    digest = hashlib.sha256("/".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def epoch_order(n: int, *parts: int | str) -> Int64[Tensor, " n"]:
    """A random order of n images that depends on `parts` alone."""
    return torch.randperm(n, generator=torch.Generator().manual_seed(derive_seed(*parts)))


class BatchNoise:
    """Random numbers for one process's rows of a global batch.

    Every process draws for the whole batch and keeps its own rows, so that the noise of an image does not depend on how
    many processes there are. They are drawn on the device, where the CPU's would first have to be copied to.

    The numbers stay where they are: a captured step reads them there, and `redraw` puts those of the next step in their
    place.
    """

    def __init__(self, seed: int, batch_size: int, rows: slice, device: torch.device) -> None:
        self._generator = noise_generator(device).manual_seed(seed)
        self._batch_size = batch_size
        self._rows = rows
        self._device = device
        self._drawn: list[tuple[str, Tensor]] = []
        self._next = 0

    def uniform(self, *shape: int) -> Float[Tensor, "b ..."]:
        """(b, *shape) from the uniform distribution on [0, 1)."""
        return self._take("uniform_", shape)

    def normal(self, *shape: int) -> Float[Tensor, "b ..."]:
        """(b, *shape) from the standard normal distribution."""
        return self._take("normal_", shape)

    def rewind(self) -> None:
        """The same numbers again, from the first of them on."""
        self._next = 0

    def redraw(self, seed: int) -> None:
        """Those of `seed`, in the tensors that are there."""
        self.rewind()
        self._generator.manual_seed(seed)
        for draw, tensor in self._drawn:
            getattr(tensor, draw)(generator=self._generator)

    def _take(self, draw: str, shape: tuple[int, ...]) -> Tensor:
        if self._next == len(self._drawn):
            made = torch.empty(self._batch_size, *shape, device=self._device)
            self._drawn.append((draw, getattr(made, draw)(generator=self._generator)))
        drawn, tensor = self._drawn[self._next]
        if (drawn, tensor.shape[1:]) != (draw, shape):
            raise RuntimeError("a step asks for other random numbers than the first one did")
        self._next += 1
        return tensor[self._rows]


def noise_generator(device: torch.device) -> torch.Generator:
    """A new generator of the numbers that are drawn on `device`."""
    return torch.Generator(device)


def generator_states() -> dict[str, Any]:
    """The states of the global generators, as tensors and plain numbers."""
    drawn: Any = np.random.get_state()  # noqa: NPY002
    _, keys, position, has_gauss, gauss = drawn
    return {
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        "numpy": [torch.from_numpy(keys.astype(np.int64)), int(position), int(has_gauss), float(gauss)],
        "python": random.getstate(),
    }


def restore_generators(states: dict[str, Any]) -> None:
    """Set the global generators to `states`."""
    torch.set_rng_state(states["torch"])
    if states["cuda"] and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(states["cuda"])
    keys, position, has_gauss, gauss = states["numpy"]
    np.random.set_state(("MT19937", keys.numpy().astype(np.uint32), position, has_gauss, gauss))  # noqa: NPY002
    version, internal, gauss_next = states["python"]
    random.setstate((version, tuple(internal), gauss_next))
