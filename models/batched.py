"""A function over many images or points, batch by batch, without gradients."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

BATCH_SIZE = 1000
"""Rows at once: enough to use all cores."""
PIXELS = 96 * 96
"""Of an image whose widest activations leave room for so many at once. Of larger ones there are fewer."""
HELD = 2**28
"""Bytes of results that stay on the device before they are copied to the CPU, which makes the host wait."""


def rows_at_once(rows: Shaped[Tensor, "n ..."]) -> int:
    """How many of these rows a function is given at once: `BATCH_SIZE` points or small images."""
    pixels = rows.shape[2] * rows.shape[3] if rows.dim() == 4 else 1
    return max(min(BATCH_SIZE, BATCH_SIZE * PIXELS // pixels), 1)


def map_batches(
    function: Callable[[Tensor], Tensor], rows: Shaped[Tensor, "n ..."], device: torch.device
) -> Float[Tensor, "n ..."]:
    """`function` over `rows` (images or points) on `device`; the results, in order, as float32 on the CPU."""
    with torch.no_grad():
        if device.type == "cpu":
            return _in_place(function, rows)
        done: list[Tensor] = []
        held: list[Tensor] = []
        for batch in torch.split(rows, rows_at_once(rows)):
            held.append(function(batch.to(device)).float())
            if len(held) * held[-1].nbytes >= HELD:
                done.append(torch.cat(held).cpu())
                held.clear()
        if held:
            done.append(torch.cat(held).cpu())
    return done[0] if len(done) == 1 else torch.cat(done)


def _in_place(function: Callable[[Tensor], Tensor], rows: Shaped[Tensor, "n ..."]) -> Float[Tensor, "n ..."]:
    """The same on the CPU. Results that lie between the activations of one batch and the next, thousands of them, would
    keep these from using the same memory: 2.6 GB for DEC's target on 1,000,000 images.
    """
    results: Tensor | None = None
    start = 0
    for batch in torch.split(rows, rows_at_once(rows)):
        result = function(batch).float()
        if results is None:
            results = result.new_empty(len(rows), *result.shape[1:])
        results[start : start + len(batch)] = result
        start += len(batch)
    assert results is not None, "torch.split gives one batch at least"
    return results
