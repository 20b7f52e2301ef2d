"""Networks whose number of clusters changes while they train: tables of fixed size, in which some rows are in use.

No parameter changes its shape, so the optimiser's state stays valid, and a captured step reads where it always read.
"""

from __future__ import annotations

import math

import torch
from einops import einsum
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn

from losses.precision import at_least_float32

UNUSED = -1e9
"""The logit of a cluster that is not there: its probability is exactly 0, and its logarithm a finite number."""


class ClusterNetwork(nn.Module):
    """One hidden layer with ReLU, and a softmax over the clusters that are in use.

    Args:
        latent: d.
        hidden: width of the layer.
        most: as many clusters as there may be.
    """

    def __init__(self, latent: int, hidden: int, most: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(latent, hidden)
        self.output = nn.Linear(hidden, most)

    def forward(self, z: Float[Tensor, "n d"], alive: Bool[Tensor, " most"]) -> Float[Tensor, "n most"]:
        """log r of every cluster; about -1e9 where it is not in use."""
        logits: Tensor = self.output(torch.relu(self.hidden(z)))
        return torch.log_softmax(at_least_float32(logits).masked_fill(~alive, UNUSED), dim=1)

    @torch.no_grad()
    def rearrange(self, source: Int64[Tensor, " most"]) -> None:
        """Every cluster's row becomes a copy of the one that it comes from."""
        for parameter in (self.output.weight, self.output.bias):
            parameter.copy_(parameter[source.to(parameter.device)])


class SubclusterNetworks(nn.Module):
    """A network of one hidden layer for every cluster, with a softmax over its two sub-clusters.

    Args:
        latent: d.
        hidden: width of each layer.
        most: as many clusters as there may be.
    """

    def __init__(self, latent: int, hidden: int, most: int) -> None:
        super().__init__()
        self.hidden = nn.Parameter(torch.empty(most, latent, hidden))
        self.hidden_bias = nn.Parameter(torch.empty(most, hidden))
        self.output = nn.Parameter(torch.empty(most, hidden, 2))
        self.output_bias = nn.Parameter(torch.empty(most, 2))
        self.rearrange(torch.arange(most), torch.ones(most, dtype=torch.bool))

    def forward(self, z: Float[Tensor, "n d"], clusters: Int64[Tensor, " n"]) -> Float[Tensor, "n 2"]:
        """log r̃ of both sub-clusters of each point's cluster."""
        # Each point meets the weights of its own cluster: all clusters at once would cost as many times as much.
        hidden = torch.relu(einsum(z, self.hidden[clusters], "n d, n d h -> n h") + self.hidden_bias[clusters])
        own = einsum(hidden, self.output[clusters], "n h, n h s -> n s") + self.output_bias[clusters]
        return torch.log_softmax(at_least_float32(own), dim=1)

    @torch.no_grad()
    def rearrange(self, source: Int64[Tensor, " most"], fresh: Bool[Tensor, " most"]) -> None:
        """Every cluster's network becomes a copy of the one that it comes from, or gets new weights.

        They are uniform within 1 / √fan-in, from torch's generator on the CPU: the same on any device.
        """
        latent, width = self.hidden.shape[1:]
        for parameter, inputs in (
            (self.hidden, latent),
            (self.hidden_bias, latent),
            (self.output, width),
            (self.output_bias, width),
        ):
            drawn = (2 * torch.rand(parameter.shape) - 1) / math.sqrt(inputs)
            new = fresh.to(parameter.device).view(-1, *([1] * (parameter.dim() - 1)))
            parameter.copy_(torch.where(new, drawn.to(parameter), parameter[source.to(parameter.device)]))
