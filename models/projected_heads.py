"""Many cluster heads at once, each a small network: a hidden layer, a projection to the unit sphere, prototypes."""

from __future__ import annotations

import torch
from einops import einsum
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional


class ProjectedHeads(nn.Module):
    """r heads: a dense layer with GELU, a dense layer whose outcome gets length 1, and a prototype for each cluster.

    Args:
        heads: r.
        feature: d, of features of length 1.
        hidden: width of the first layer.
        bottleneck: width of the second.
        clusters: k.
        temperature: of the softmax over the clusters.
    """

    def __init__(
        self, heads: int, feature: int, hidden: int, bottleneck: int, clusters: int, temperature: float
    ) -> None:
        super().__init__()
        self.temperature = temperature
        # A feature of length 1 comes out of the first layer with numbers of sd 1.
        self.hidden = nn.Parameter(torch.randn(heads, feature, hidden))
        self.hidden_bias = nn.Parameter(torch.zeros(heads, hidden))
        self.projection = nn.Parameter(torch.randn(heads, hidden, bottleneck) / hidden**0.5)
        self.projection_bias = nn.Parameter(torch.zeros(heads, bottleneck))
        self.prototypes = nn.Parameter(torch.randn(heads, bottleneck, clusters))
        self.lengths = nn.Parameter(torch.ones(heads, clusters))

    def forward(self, z: Float[Tensor, "n d"]) -> Float[Tensor, "r n k"]:
        """log q of every cluster by every head; the rows of q sum to 1."""
        hidden = einsum(z, self.hidden, "n d, r d h -> r n h") + self.hidden_bias.unsqueeze(1)
        projected = torch.bmm(functional.gelu(hidden), self.projection) + self.projection_bias.unsqueeze(1)
        prototypes = functional.normalize(self.prototypes, dim=1) * self.lengths.unsqueeze(1)
        cosines = torch.bmm(functional.normalize(projected, dim=2), prototypes)
        return torch.log_softmax(cosines / self.temperature, dim=2)

    @torch.no_grad()
    def follow(self, other: ProjectedHeads, momentum: float) -> None:
        """Move towards another's weights: the moving average of what they were. 0 takes them as they are."""
        for own, its in zip(self.parameters(), other.parameters(), strict=True):
            own.mul_(momentum).add_(its, alpha=1 - momentum)

    @torch.no_grad()
    def take(self, other: ProjectedHeads, head: int) -> None:
        """Become one of another's heads; there is one here."""
        for own, its in zip(self.parameters(), other.parameters(), strict=True):
            own.copy_(its[head : head + 1])
