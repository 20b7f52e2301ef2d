"""A function over many images or points, batch by batch, without gradients."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

# Large enough to use all cores, small enough for the widest activations of a 96×96 image.
BATCH_SIZE = 1000


def map_batches(
    function: Callable[[Tensor], Tensor], rows: Shaped[Tensor, "n ..."], device: torch.device
) -> Float[Tensor, "n ..."]:
    """`function` over `rows` (images or points) on `device`; the results, in order, as float32 on the CPU."""
    with torch.no_grad():
        parts = [function(batch.to(device)).float().cpu() for batch in torch.split(rows, BATCH_SIZE)]
    return torch.cat(parts)
