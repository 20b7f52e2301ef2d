"""Many linear classifiers at once, from one feature to clusters: restarts of one clustering."""

from __future__ import annotations

import torch
from einops import einsum
from jaxtyping import Float
from torch import Tensor, nn


class ClusterHeads(nn.Module):
    """r linear heads whose softmax is the probability of every cluster.

    Args:
        heads: r.
        feature: d, of features of length 1.
        clusters: k.
        scale: sd of the logits at the start: the larger, the more heads differ.
    """

    def __init__(self, heads: int, feature: int, clusters: int, scale: float) -> None:
        super().__init__()
        self.scale = scale
        self.weight = nn.Parameter(torch.zeros(heads, feature, clusters))
        self.bias = nn.Parameter(torch.zeros(heads, clusters))
        self.draw()

    def draw(self) -> None:
        """New heads from torch's generator."""
        with torch.no_grad():
            # A feature of length 1 gives logits of this sd.
            self.weight.normal_(std=self.scale)
            self.bias.zero_()

    def take(self, other: ClusterHeads, head: int) -> None:
        """Become one of another's heads; there is one here."""
        with torch.no_grad():
            self.weight.copy_(other.weight[head : head + 1])
            self.bias.copy_(other.bias[head : head + 1])

    def forward(self, z: Float[Tensor, "n d"], only: slice = slice(None)) -> Float[Tensor, "s n k"]:
        """log p of every cluster by every head, or by s of them; the rows of p sum to 1."""
        logits = einsum(z, self.weight[only], "n d, r d k -> r n k") + self.bias[only].unsqueeze(1)
        return torch.log_softmax(logits, dim=2)
