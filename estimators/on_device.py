"""What estimators need to know of the device that their points lie on.

Sums over clusters are products with a matrix of ones and zeros: adding by index would be in another order in every run
on a GPU, and so would the last digits.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor

WITHOUT_FLOAT64 = ("mps",)
"""Devices that have no float64. Near ties, covariances and eigenvectors need it, so their points go to the CPU."""
NUMBERS = 2**25
"""In a block of a device's memory at a time: 128 MiB in float32, 256 MiB in float64."""
ROWS = 2**14
"""Points in a block at most: float32 sums over more of them would lose digits."""


def is_cpu(points: Tensor) -> bool:
    return points.device.type == "cpu"


def where_float64_is(points: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
    """The points on their device, or on the CPU where the device cannot compute in float64."""
    return points.cpu() if points.device.type in WITHOUT_FLOAT64 else points


def block_rows(columns: int) -> int:
    """How many points make a block when each of them takes so many numbers."""
    return max(min(NUMBERS // max(columns, 1), ROWS), 1)


def on_cpu(arrays: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: array.cpu() for name, array in arrays.items()}


@contextmanager
def full_float32() -> Iterator[None]:
    """Within it CUDA makes products of float32 numbers in float32 throughout, whatever the run allows."""
    matmul = torch.backends.cuda.matmul
    allowed, matmul.allow_tf32 = matmul.allow_tf32, False
    try:
        yield
    finally:
        matmul.allow_tf32 = allowed


def cluster_sums(
    points: Float[Tensor, "n d"], labels: Int64[Tensor, " n"], k: int
) -> tuple[Float64[Tensor, "{k} d"], Float64[Tensor, " {k}"]]:
    """Sum and number of the points of every cluster, in float64, on the points' device."""
    if is_cpu(points):
        sums = torch.zeros(k, points.shape[1], dtype=torch.float64)
        return sums.index_add_(0, labels, points.double()), labels.bincount(minlength=k).double()
    sums = torch.zeros(k, points.shape[1], dtype=torch.float64, device=points.device)
    counts = torch.zeros(k, dtype=torch.float64, device=points.device)
    numbers = torch.arange(k, device=points.device)
    size = block_rows(k + points.shape[1])
    for block, label in zip(torch.split(points, size), torch.split(labels, size), strict=True):
        members = (label[:, None] == numbers).double()
        sums += members.T @ block.double()
        counts += members.sum(dim=0)
    return sums, counts
