"""The neighbour graph of the training images, and walks on it.

Edges between images that share many of their neighbours lie within a dense region, those between images that share few
lead out of one: the similarity by shared neighbours is that of Jarvis, Patrick, "Clustering Using a Similarity Measure
Based on Shared Near Neighbors", IEEE Transactions on Computers 1973.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from estimators.neighbours import neighbour_graph, recall_notes
from losses.scan import disagreement, marginal_divergence
from models.batched import BATCH_SIZE
from models.cluster_heads import ClusterHeads
from parts.phases import Compute
from parts.size_prior import SizePrior

BUDGET = 2**25
"""Bytes that images whose edges are looked at together may take, however many neighbours they have."""


class Neighbourhood(nn.Module):
    """The nearest training images of every training image, (n, m), and every head's own loss once they are compared.

    Args:
        power: a walk takes an edge with a chance in proportion to this power of its Jaccard similarity; 0: all alike.

    Attributes:
        recall: share of the true neighbours that `find` found; 1.0 where its search was exact.
    """

    def __init__(self, power: float) -> None:
        super().__init__()
        self.power = power
        self.indices: Int64[Tensor, "n m"] | None = None
        self.own_losses: Float[Tensor, " r"] | None = None
        self.recall = 1.0
        self._bounds: Float[Tensor, "n m"] | None = None

    def place(self, indices: Int64[Tensor, "n m"]) -> None:
        """Take these images as the neighbours."""
        self.indices = indices
        self._bounds = None

    def find(self, z: Float[Tensor, "n d"], neighbours: int, compute: Compute) -> None:
        """Take as many nearest others of every latent in `z`, or all others where there are fewer.

        The search runs on the device of `z`.
        """
        count = min(neighbours, len(z) - 1)
        graph = compute.once(lambda: neighbour_graph(z, count + 1))
        self.place(graph.indices[:, 1:].contiguous())  # without the image itself
        self.recall = graph.recall

    @property
    def notes(self) -> tuple[str, ...]:
        """What a table must say of the graph."""
        return recall_notes(self.recall)

    def partners(self, indices: Int64[Tensor, " b"], uniform: Float[Tensor, "b s"]) -> Int64[Tensor, " b"]:
        """The image at which a walk of s steps to random neighbours ends, for every image it begins at.

        Args:
            indices: where the walks begin.
            uniform: a number from 0 to 1 for each step, by which its neighbour is drawn.
        """
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

    def get_extra_state(self) -> dict[str, Tensor | float | None]:
        return {"indices": self.indices, "own_losses": self.own_losses, "recall": self.recall}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        self.indices, self.own_losses = state["indices"], state["own_losses"]
        self.recall = state.get("recall", 1.0)  # checkpoints of before it was measured are without
        self._bounds = None


@torch.no_grad()
def own_losses(
    heads: ClusterHeads,
    z: Float[Tensor, "n d"],
    ends: Sequence[Int64[Tensor, " n"]],
    entropy: float,
    prior: SizePrior,
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
        sizes = log_p.exp().mean(dim=0)
        losses.append(apart + entropy * marginal_divergence(sizes, prior.given(sizes)))
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
    similarities = []
    for own in torch.split(sets, images_together(m)):
        others = sets[own[:, 1:]].flatten(1)  # (b, m * (m + 1))
        ordered = own.sort(dim=1).values
        place = torch.searchsorted(ordered, others).clamp_max_(m)
        is_shared = ordered.gather(1, place).eq_(others)
        shared = is_shared.view(len(own), m, m + 1).sum(dim=2)
        similarities.append(shared / (2 * (m + 1) - shared))
    return torch.cat(similarities)


def images_together(m: int) -> int:
    """Of images with m neighbours as many as fit into `BUDGET`, at least one.

    For every neighbour of a neighbour each takes three numbers of 8 bytes: it, its place, and the neighbour there.
    """
    return max(BUDGET // (24 * m * (m + 1)), 1)
