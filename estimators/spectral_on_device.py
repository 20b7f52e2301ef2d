"""Leading eigenvectors of a large sparse matrix by torch, on any device: subspace iteration with a Chebyshev filter.

Sources: Rutishauser, "Computational Aspects of F. L. Bauer's Simultaneous Iteration Method", 1969; Zhou, Saad, Tiago,
Chelikowsky, "Self-Consistent-Field Calculations Using Chebyshev-Filtered Subspace Iteration", 2006.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float64
from scipy.sparse import csr_array
from torch import Tensor

from estimators.on_device import NUMBERS

DEGREE = 40
"""Products with the matrix between two looks at the residuals."""
ROUNDS = 500
GUARDS = 8
"""Vectors at least that are iterated besides those wanted: the last of a subspace converge slowly."""
TOLERANCE = 1e-6
"""Largest residual of an eigenvector of length 1, as for ARPACK on the CPU."""
GROWTH = 1e10
"""Of the largest eigenvector over those that are damped, in one filter at most: float64 keeps the others beside it."""


def leading_on_device(
    symmetric: csr_array, known: Float64[np.ndarray, "n parts"], count: int, seed: int, device: torch.device
) -> Float64[Tensor, "n {count}"] | None:
    """The eigenvectors of the `count` largest eigenvalues besides the `known` ones of eigenvalue 1, on `device`.

    None where they are not found in `ROUNDS` filters.

    Args:
        symmetric: eigenvalues from -1 to 1; every row has entries.
        known: orthonormal.
        count: 1 or more, much less than n.
        seed: of the start.
        device: with float64.
    """
    found = torch.from_numpy(known).to(device)
    product = _product(symmetric, device)

    def deflated(x: Float64[Tensor, "n c"]) -> Float64[Tensor, "n c"]:
        return product(x) - 2 * found @ (found.T @ x)  # the known eigenvalues become -1, the least there can be

    n, width = len(known), count + max(count, GUARDS)
    x = torch.randn(n, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(device)
    for _ in range(ROUNDS):
        x = torch.linalg.qr(x).Q
        moved = deflated(x)
        values, turn = torch.linalg.eigh(x.T @ moved)  # ascending
        x, moved = (y @ turn.flip(1) for y in (x, moved))
        values = values.flip(0)
        residual = (moved - values * x)[:, :count].norm(dim=0).max()
        least, largest, left = torch.stack([values[-1], values[0], residual]).cpu().tolist()
        if left <= TOLERANCE:
            leading: Float64[Tensor, "n {count}"] = x[:, :count]
            return leading
        x = _filtered(deflated, x, least, largest)
    return None


def _filtered(
    apply: Callable[[Tensor], Tensor], x: Float64[Tensor, "n c"], least: float, largest: float
) -> Float64[Tensor, "n c"]:
    """T(A) x by the Chebyshev polynomial T that stays within ±1 from -1 to `least` and grows fastest beyond."""
    centre, half = (least - 1) / 2, max((least + 1) / 2, 1e-3)
    growth = math.acosh(max((largest - centre) / half, 1 + 1e-12))  # T grows by its exponential with every degree
    degree = max(2, min(DEGREE, int(math.log(GROWTH) / growth)))
    before, now = x, (apply(x) - centre * x) / half
    for _ in range(degree - 1):
        before, now = now, 2 * (apply(now) - centre * now) / half - before
    return now


def _product(matrix: csr_array, device: torch.device) -> Callable[[Tensor], Tensor]:
    """x to matrix · x. Every row is added up in the order of its columns: the same bits in every run."""
    starts, columns = (torch.from_numpy(part.astype(np.int64)).to(device) for part in (matrix.indptr, matrix.indices))
    values = torch.from_numpy(matrix.data.astype(np.float64)).to(device)[:, None]
    width = max(NUMBERS // max(len(columns), 1), 1)

    def product(x: Float64[Tensor, "n c"]) -> Float64[Tensor, "n c"]:
        parts = [
            torch.segment_reduce(values * part[columns], "sum", offsets=starts, axis=0)
            for part in torch.split(x, width, dim=1)
        ]
        return torch.cat(parts, dim=1)

    return product
