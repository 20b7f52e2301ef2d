"""A bound on what a layer gives that training can come back from."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor


def held_within(x: Float[Tensor, "*shape"], bound: float) -> Float[Tensor, "*shape"]:
    """`x` where it is within ± `bound`, and the nearer end of it elsewhere.

    Unlike a clamp it does not lose what is outside: the gradient at the bound is that of x where a step against it
    leads back, and 0 where it would lead farther out.

    Args:
        x: what is held.
        bound: above 0.
    """
    held: Tensor = _Held.apply(x, bound)
    return held


class _Held(torch.autograd.Function):
    """A clamp, backwards the identity but for what leads farther out."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, bound: float) -> Tensor:
        ctx.save_for_backward(x)
        ctx.bound = bound
        return x.clamp(-bound, bound)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (x,), (gradient,) = ctx.saved_tensors, gradients
        leads_out = ((x > ctx.bound) & (gradient < 0)) | ((x < -ctx.bound) & (gradient > 0))
        return gradient.masked_fill(leads_out, 0), None
