"""Candidates for the nearest neighbours, by torch, on the device that the points lie on.

`estimators.extension` decides among them, as it does among those that faiss finds on the CPU.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from estimators.on_device import block_rows, full_float32


def by_products(
    x: Float[Tensor, "m d"], y: Float[Tensor, "n d"], width: int
) -> tuple[Float[Tensor, "m {width}"], Int64[Tensor, "m {width}"]]:
    """Squared distances from ‖x‖² + ‖y‖² − 2xy, ascending, and indices of about the nearest `width`."""
    norms = y.square().sum(dim=1)

    def distances(block: Float[Tensor, "b d"]) -> Float[Tensor, "b n"]:
        return torch.addmm(norms, block, y.T, alpha=-2).add_(block.square().sum(dim=1, keepdim=True))

    with full_float32():
        return _smallest(distances, x, len(y), width)


def by_differences(
    x: Float[Tensor, "m d"], y: Float[Tensor, "n d"], width: int
) -> tuple[Float[Tensor, "m {width}"], Int64[Tensor, "m {width}"]]:
    """Squared distances from Σ(x − y)², ascending, and indices of about the nearest `width`."""
    return _smallest(lambda block: squared_differences(block, y), x, len(y), width)


def squared_differences(x: Float[Tensor, "m d"], y: Float[Tensor, "n d"]) -> Float[Tensor, "m n"]:
    """All squared distances by differences: every one is good to the precision of the points, however small."""
    return torch.cdist(x, y, compute_mode="donot_use_mm_for_euclid_dist").square_()


def _smallest(
    distances: Callable[[Tensor], Tensor], x: Float[Tensor, "m d"], n: int, width: int
) -> tuple[Float[Tensor, "m {width}"], Int64[Tensor, "m {width}"]]:
    """NaN stands for a distance that overflows: nothing can be said of it."""
    found = [
        torch.topk(distances(block), width, dim=1, largest=False, sorted=True)
        for block in torch.split(x, block_rows(n))
    ]
    rough = torch.cat([part.values for part in found])
    return rough.masked_fill_(rough.isinf(), torch.nan), torch.cat([part.indices for part in found])
