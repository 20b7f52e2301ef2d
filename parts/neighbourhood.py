"""The neighbour graph of the training images, and walks on it.

Edges between images that share many of their neighbours lie within a dense region, those between images that share few
lead out of one: the similarity by shared neighbours is that of Jarvis, Patrick, "Clustering Using a Similarity Measure
Based on Shared Near Neighbors", IEEE Transactions on Computers 1973.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from estimators.neighbours import neighbour_graph
from losses.scan import disagreement, marginal_divergence
from models.batched import BATCH_SIZE
from models.cluster_heads import ClusterHeads
from parts.phases import Compute

BUDGET = 2**24
"""Bytes that images whose edges are looked at together may take, however many neighbours they have."""


class Neighbourhood(nn.Module):
    """The nearest training images of every training image, (n, m), and every head's own loss once they are compared.

    Args:
        power: a walk takes an edge with a chance in proportion to this power of its Jaccard similarity; 0: all alike.
    """

    def __init__(self, power: float) -> None:
        super().__init__()
        self.power = power
        self.indices: Int64[Tensor, "n m"] | None = None
        self.own_losses: Float[Tensor, " r"] | None = None
        self._bounds: Float[Tensor, "n m"] | None = None

    def place(self, indices: Int64[Tensor, "n m"]) -> None:
        """Take these images as the neighbours."""
        self.indices = indices
        self._bounds = None

    def find(self, z: Float[Tensor, "n d"], neighbours: int, compute: Compute) -> None:
        """Take as many nearest others of every latent in `z`, or all others where there are fewer."""
        count = min(neighbours, len(z) - 1)
        graph = compute.once(lambda: neighbour_graph(z, count + 1).indices)
        self.place(graph[:, 1:].contiguous())  # without the image itself

    def partners(self, indices: Int64[Tensor, " b"], uniform: Float[Tensor, "b s"]) -> Int64[Tensor, " b"]:
        """For every image where a walk of s steps to random neighbours ends, each by a number from 0 to 1."""
        assert self.indices is not None, "neighbours are found before heads are trained"
        self.indices = self.indices.to(indices.device)
        if self._bounds is None:
            self._bounds = edge_weights(self.indices, self.power).cumsum(dim=1)
        self._bounds = self._bounds.to(indices.device)
        for number in uniform.unbind(dim=1):
            bounds = self._bounds[indices]  # (b, m), of every edge's share of the line from 0 to the last
            place = (number * bounds[:, -1]).unsqueeze(1)
            step = torch.searchsorted(bounds, place, right=True).squeeze(1).clamp_max(bounds.shape[1] - 1)
            indices = self.indices[indices, step]
        return indices

    def get_extra_state(self) -> dict[str, Tensor | None]:
        return {"indices": self.indices, "own_losses": self.own_losses}

    def set_extra_state(self, state: dict[str, Tensor | None]) -> None:
        self.indices, self.own_losses = state["indices"], state["own_losses"]
        self._bounds = None


@torch.no_grad()
def own_losses(
    heads: ClusterHeads,
    z: Float[Tensor, "n d"],
    ends: Sequence[Int64[Tensor, " n"]],
    entropy: float,
    prior: Float[Tensor, " k"],
) -> Float[Tensor, " r"]:
    """Every head's loss over all images (SCAN, eq. 2), on the CPU: what heads are compared by.

    Args:
        heads: r of them.
        z: what they see of the images, on their device.
        ends: whom every image shall agree with, one or more for each.
        entropy: λ.
        prior: expected shares of the clusters.
    """
    losses = []
    for head in range(len(heads.weight)):
        only = slice(head, head + 1)
        log_p = torch.cat([heads(rows, only)[0].float() for rows in torch.split(z, BATCH_SIZE)])
        apart = torch.stack([disagreement(log_p, log_p[end]) for end in ends]).mean()
        losses.append(apart + entropy * marginal_divergence(log_p.exp().mean(dim=0), prior))
    return torch.stack(losses).cpu()


def edge_weights(indices: Int64[Tensor, "n m"], power: float) -> Float[Tensor, "n m"]:
    """How often a walk takes every edge, up to a factor of each image's own."""
    if power == 0:  # whatever the similarities are, which take seconds to compute
        return torch.ones(indices.shape, device=indices.device)
    return jaccard_similarity(indices).pow(power)


def jaccard_similarity(indices: Int64[Tensor, "n m"]) -> Float[Tensor, "n m"]:
    """Of every image and each of its neighbours: the neighbours of both among the neighbours of either, above 0 to 1.

    An image is its own neighbour here.

    Args:
        indices: the neighbours of every image, itself not among them.
    """
    n, m = indices.shape
    sets = torch.cat([torch.arange(n, device=indices.device).unsqueeze(1), indices], dim=1)
    rows = images_together(n, m)
    is_neighbour = torch.zeros(rows, n, dtype=torch.bool, device=indices.device)
    similarities = []
    for own in torch.split(sets, rows):
        table = is_neighbour[: len(own)].scatter_(1, own, True)
        others = sets[own[:, 1:]]  # (b, m, m + 1)
        shared = table.gather(1, others.flatten(1)).view(others.shape).sum(dim=2)
        table.scatter_(1, own, False)  # clean for the next images, at less cost than a new one
        similarities.append(shared / (2 * (m + 1) - shared))
    return torch.cat(similarities)


def images_together(n: int, m: int) -> int:
    """Of n images with m neighbours as many as fit into `BUDGET`, at least one.

    Each takes a byte for every image, and for every neighbour of a neighbour its number and a byte.
    """
    return min(max(BUDGET // (n + 9 * m * (m + 1)), 1), n)
