"""The nearest neighbours of all points among themselves by torch, where the points lie on a device."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from jaxtyping import Float, Float32, Int64
from torch import Tensor

NUMBERS = 2**28
"""float32 numbers that a block of rows may take, 1 GiB."""
SPARE = 8
"""Candidates beyond the neighbours asked for, so that rounding does not decide."""
SMALLEST = 2.0**-126
"""The smallest number of float32 whose inverse is one."""


def nearest_on_device(
    points: Float[Tensor, "n d"], count: int, asked: Int64[Tensor, " m"] | None = None
) -> tuple[Int64[Tensor, "m {count}"], Float32[Tensor, "m {count}"]]:
    """Indices and distances of the `count` nearest of points, on the CPU: themselves first, then by distance.

    Each is compared with all, by float32 products of the centred points. Among a few candidates more than `count` the
    differences of the coordinates decide, equal distances by the lower index.

    Args:
        points: finite values.
        count: 1 to n.
        asked: the points whose nearest are wanted, by their indices; all where None.
    """
    vectors, unit = _centred(points)
    n, dimensions = vectors.shape
    candidates = min(count + SPARE, n)
    squares = vectors.square().sum(dim=1)
    indices, squared = [], []
    queries = torch.arange(n, device=points.device) if asked is None else asked.to(points.device)
    with _float32_products():
        block = max(NUMBERS // max(n, candidates * dimensions), 1)
        for own in torch.split(queries, block):
            rows = vectors[own]
            # ‖y‖² − 2⟨x, y⟩: what is left out is the same for all y.
            rough = torch.addmm(squares, rows, vectors.T, alpha=-2.0)
            found = rough.topk(candidates, dim=1, largest=False, sorted=False).indices
            found = _with_themselves(found, own)
            exact = (vectors[found] - rows.unsqueeze(1)).square_().sum(dim=2)
            exact.masked_fill_(found == own.unsqueeze(1), -1.0)
            nearest = exact.sort(dim=1, stable=True)
            indices.append(found.gather(1, nearest.indices[:, :count]))
            squared.append(nearest.values[:, :count].clamp_min(0.0))
    return torch.cat(indices).cpu(), torch.cat(squared).sqrt_().cpu() * unit


def _centred(points: Float[Tensor, "n d"]) -> tuple[Float32[Tensor, "n d"], float]:
    """The points about their mean in units of a power of two, and that unit: squares neither overflow nor vanish."""
    wide = points if points.dtype == torch.float64 else points.float()
    largest = float(wide.abs().max())
    unit = max(float(2.0 ** np.floor(np.log2(largest))), SMALLEST) if largest > 0 else 1.0
    scaled = wide / unit
    return (scaled - scaled.mean(dim=0)).float(), unit


def _with_themselves(found: Int64[Tensor, "m c"], own: Int64[Tensor, " m"]) -> Int64[Tensor, "m c"]:
    """The candidates by their index. A point that its duplicates crowded out takes a place."""
    crowded_out = (found != own.unsqueeze(1)).all(dim=1)
    found[:, -1] = torch.where(crowded_out, own, found[:, -1])
    return found.sort(dim=1).values


@contextmanager
def _float32_products() -> Iterator[None]:
    """Within it products are made in float32 throughout, whatever the run allows for its networks."""
    allowed = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32 = allowed
