"""The contrastive loss of two views of every image.

Source: Chen, Kornblith, Norouzi, Hinton, "A Simple Framework for Contrastive Learning of Visual Representations", ICML
2020 (SimCLR), eq. 1.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional

from losses.precision import in_full_precision


class Memory(NamedTuple):
    """Views of earlier batches.

    Attributes:
        views: (m, d), of length 1.
        filled: (m,), whether a row holds a view yet.
    """

    views: Float[Tensor, "m d"]
    filled: Bool[Tensor, " m"]


@in_full_precision
def nt_xent(
    first: Float[Tensor, "n d"],
    second: Float[Tensor, "n d"],
    temperature: float,
    others: Memory | None = None,
) -> Float[Tensor, ""]:
    """Mean over all 2n views of the cross-entropy of finding an image's other view among all others, in nats, above 0.

        -log exp(a.b / t) / sum over all views c but a itself of exp(a.c / t)     (SimCLR, eq. 1)

    Args:
        first: one view of every image, of length 1.
        second: the other view of the same images, in the same order, of length 1.
        temperature: t, above 0.
        others: more views to tell apart from, of length 1, that are nobody's partner; no gradient reaches them.
    """
    views = torch.cat([first, second])
    n = len(first)
    similarity = views @ views.T / temperature
    # A view is not among those that it is compared with.
    similarity = similarity.masked_fill(torch.eye(2 * n, dtype=torch.bool, device=views.device), -torch.inf)
    if others is not None:
        with_others = (views @ others.views.detach().T / temperature).masked_fill(~others.filled, -torch.inf)
        similarity = torch.cat([similarity, with_others], dim=1)
    partner = torch.arange(2 * n, device=views.device).roll(n)
    return functional.cross_entropy(similarity, partner)
