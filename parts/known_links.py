"""What is known of some training images, as a term beside the loss that a method trains on.

Every row of a batch draws one pair, by the batch's noise: so the pairs are the same whatever the number of processes.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Bool, Float, Num
from torch import Tensor, nn

from data.known import Known, Links
from data.noise import Noise
from losses.known_pairs import link_surprise
from models.cluster_heads import ClusterHeads
from parts.phases import Batch, Compute, Objective

PairLoss = Callable[[Float[Tensor, "n d"], Float[Tensor, "n d"], Bool[Tensor, " n"]], Float[Tensor, ""]]
COMPARED = 16_384
"""Pairs by which heads are compared."""


class KnownLinks(nn.Module):
    """Draws pairs of which it is known whether they belong together.

    Args:
        known: of the training images.
        weight: of the term.
    """

    def __init__(self, known: Known, weight: float) -> None:
        super().__init__()
        self.known, self.weight = known, weight
        self._device = known.images.device

    def of_batch(self, noise: Noise, device: torch.device) -> Links:
        """A pair for every row."""
        return self._on(device).links(noise.uniform(2))

    def fixed(self, seed: int, device: torch.device) -> Links:
        """`COMPARED` pairs that depend on the seed alone."""
        uniform = torch.rand(COMPARED, 2, generator=torch.Generator().manual_seed(seed))
        return self._on(device).links(uniform.to(device))

    def _on(self, device: torch.device) -> Known:
        if device != self._device:
            self.known, self._device = self.known.to(device), device
        return self.known


class LinkedLatents(Objective):
    """Another objective's loss + λ times a loss of known pairs, of the clean images' latents.

    Args:
        objective: the other one, which trains the encoder.
        links: the known pairs, and λ.
        loss: of the latents of both images of every pair, and of which pairs are must-links.
        encode: a batch of images to z, by the same encoder.
        images: the training images.
        compute: the machine.
    """

    def __init__(
        self,
        objective: Objective,
        links: KnownLinks,
        loss: PairLoss,
        encode: Callable[[Num[Tensor, "n c h w"]], Float[Tensor, "n d"]],
        images: Num[Tensor, "n c h w"],
        compute: Compute,
    ) -> None:
        super().__init__()
        self.objective = objective
        self.links = links
        self.loss = loss
        self.encode, self.images, self.compute = encode, images, compute

    def forward(self, batch: Batch) -> dict[str, Float[Tensor, ""]]:
        losses: dict[str, Float[Tensor, ""]] = self.objective(batch)
        pairs = self.links.of_batch(batch.noise, batch.indices.device)
        # One pass for both, so that layers which look at a whole batch see both ends alike.
        ends = self.compute.pick(self.images, torch.cat([pairs.first, pairs.second]))
        first, second = self.encode(ends).chunk(2)
        known = self.loss(first, second, pairs.must)
        return {**losses, "loss": losses["loss"] + self.links.weight * known, "known": known}

    def after_step(self, batch: Batch) -> None:
        self.objective.after_step(batch)


class LinkedHeads(nn.Module):
    """How much heads on resting features are surprised by known pairs, each for itself.

    Args:
        heads: r of them.
        links: the known pairs, and the weight of the term.
    """

    def __init__(self, heads: ClusterHeads, links: KnownLinks) -> None:
        super().__init__()
        self.heads, self.links = heads, links

    def forward(self, z: Float[Tensor, "n d"], batch: Batch) -> Float[Tensor, " r"]:
        """The weighted term, on the pairs of a batch."""
        pairs = self.links.of_batch(batch.noise, z.device)
        surprise = link_surprise(self.heads(z[pairs.first]), self.heads(z[pairs.second]), pairs.must)
        return self.links.weight * surprise

    @torch.no_grad()
    def own_losses(self, z: Float[Tensor, "n d"], seed: int) -> Float[Tensor, " r"]:
        """The weighted term on the same pairs for all heads, on the CPU: what heads are compared by."""
        pairs = self.links.fixed(seed, z.device)
        first, second = z[pairs.first], z[pairs.second]
        found = []
        for head in range(len(self.heads.weight)):
            only = slice(head, head + 1)
            found.append(link_surprise(self.heads(first, only), self.heads(second, only), pairs.must))
        return self.links.weight * torch.cat(found).float().cpu()
