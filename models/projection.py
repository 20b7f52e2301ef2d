"""The projection head of contrastive learning, and its memory of earlier views.

Source: Chen, Kornblith, Norouzi, Hinton, "A Simple Framework for Contrastive Learning of Visual Representations", ICML
2020, section 2.1; the memory is the queue of He et al., "Momentum Contrast", CVPR 2020, section 3.2, without momentum.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from losses.contrastive import Memory
from losses.precision import in_full_precision


@in_full_precision
def unit_length(x: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
    """Rows of length 1. In half precision their lengths would be off by 0.3 %."""
    return functional.normalize(x, dim=1)


class ProjectionHead(nn.Module):
    """Dense layers with ReLU between them, from the feature to the space where views are compared, on the unit sphere.

    Args:
        feature: size of the feature.
        widths: of the layers; without any the feature itself is compared.
        memory: views that are remembered.
    """

    remembered: Tensor
    filled: Tensor
    """How many rows of the memory hold a view."""

    def __init__(self, feature: int, widths: tuple[int, ...], memory: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for source, width in pairwise((feature, *widths)):
            layers += [nn.Linear(source, width), nn.ReLU()]
        self.layers = nn.Sequential(*layers[:-1])
        self.register_buffer("remembered", torch.zeros(memory, widths[-1] if widths else feature))
        self.register_buffer("filled", torch.zeros((), dtype=torch.int64))

    def forward(self, z: Float[Tensor, "n d"]) -> Float[Tensor, "n p"]:
        """Where views are compared, rows of length 1."""
        return unit_length(self.layers(z))

    def recall(self) -> Memory | None:
        """The remembered views, newest first; None where there is no memory."""
        size = len(self.remembered)
        if not size:
            return None
        return Memory(self.remembered, torch.arange(size, device=self.filled.device) < self.filled)

    def remember(self, views: Float[Tensor, "n p"]) -> None:
        """Put `views` before the others; those that no longer fit are forgotten."""
        size = len(self.remembered)
        if size:
            self.remembered.copy_(torch.cat([views.detach(), self.remembered])[:size])
            self.filled.add_(len(views)).clamp_(max=size)
