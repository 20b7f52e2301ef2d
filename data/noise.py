"""Where a batch's random numbers come from, as those who use them see it."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor


@runtime_checkable
class Noise(Protocol):
    """Random numbers for the rows of one batch, the same whatever the number of processes."""

    def uniform(self, *shape: int) -> Float[Tensor, "b ..."]:
        """(b, *shape) from the uniform distribution on [0, 1)."""
        ...

    def normal(self, *shape: int) -> Float[Tensor, "b ..."]:
        """(b, *shape) from the standard normal distribution."""
        ...
