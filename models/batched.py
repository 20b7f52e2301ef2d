"""A function over many images or points, batch by batch, without gradients."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

# Large enough to use all cores, small enough for the widest activations of a 96×96 image.
BATCH_SIZE = 1000


HELD = 2**28
"""Bytes of results that stay on the device before they are copied to the CPU, which makes the host wait."""


def map_batches(
    function: Callable[[Tensor], Tensor], rows: Shaped[Tensor, "n ..."], device: torch.device
) -> Float[Tensor, "n ..."]:
    """`function` over `rows` (images or points) on `device`; the results, in order, as float32 on the CPU."""
    done: list[Tensor] = []
    held: list[Tensor] = []
    with torch.no_grad():
        for batch in torch.split(rows, BATCH_SIZE):
            held.append(function(batch.to(device)).float())
            if len(held) * held[-1].nbytes >= HELD:
                done.append(torch.cat(held).cpu())
                held.clear()
        if held:
            done.append(torch.cat(held).cpu())
    return done[0] if len(done) == 1 else torch.cat(done)
