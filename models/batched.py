"""A function over many images, batch by batch, without gradients."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

# Large enough to use all cores, small enough for the widest activations of a 96×96 image.
BATCH_SIZE = 1000


def map_batches(
    function: Callable[[Tensor], Tensor], images: UInt8[Tensor, "n c h w"], device: torch.device
) -> Float[Tensor, "n ..."]:
    """`function` over `images` on `device`; the results, in order, as float32 on the CPU."""
    with torch.no_grad():
        parts = [function(batch.to(device)).float().cpu() for batch in torch.split(images, BATCH_SIZE)]
    return torch.cat(parts)
