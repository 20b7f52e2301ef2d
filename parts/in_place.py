"""State of all training images that a refresh renews."""

from __future__ import annotations

from jaxtyping import Shaped
from torch import Tensor


def renewed(old: Shaped[Tensor, "n ..."] | None, new: Shaped[Tensor, "n ..."]) -> Shaped[Tensor, "n ..."]:
    """`new`, in the memory of `old` where it fits: a captured step reads it there, on its device."""
    if old is None or old.shape != new.shape or old.dtype != new.dtype:
        return new.clone()
    return old.copy_(new)
