"""What heads on a frozen feature are trained on and compared by: they agree at both ends of walks between neighbours.

Sources: an image and its neighbour are of one cluster, and clusters are of one size: Van Gansbeke et al., "SCAN", ECCV
2020, eq. 2; the second term under any prior is one of mutual information, Hu et al., "Learning Discrete Representations
via Information Maximizing Self-Augmented Training", ICML 2017 (IMSAT).
"""

from __future__ import annotations

from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor

from losses.scan import disagreement, marginal_divergence
from models.batched import map_batches
from models.cluster_heads import ClusterHeads
from parts.neighbourhood import Neighbourhood
from parts.phases import Batch, Compute, Objective
from parts.training_features import TrainingFeatures


class HeadsObjective(Objective):
    """Disagreement of an image and its partner + λ·KL(sizes ‖ prior), each head for itself, on frozen features.

    Args:
        heads: r of them.
        neighbourhood: of the training images.
        features: of the training images.
        prior: (k,).
        entropy: λ.
        walk: the steps of a walk.
        compute: the machine: cluster sizes are those of the whole batch, whatever the number of processes.
    """

    def __init__(
        self,
        heads: ClusterHeads,
        neighbourhood: Neighbourhood,
        features: TrainingFeatures,
        prior: Float[Tensor, " k"],
        entropy: float,
        walk: int,
        compute: Compute,
    ) -> None:
        super().__init__()
        self.heads = heads
        self.neighbourhood = neighbourhood
        self.features = features
        self.prior = prior
        self.entropy, self.walk = entropy, walk
        self.compute = compute

    def forward(self, batch: Batch) -> dict[str, Float[Tensor, ""]]:
        partners = self.neighbourhood.partners(batch.indices, batch.noise.uniform(self.walk))
        z = self.features(batch.indices.device)
        first, second = self.heads(z[batch.indices]), self.heads(z[partners])
        sizes = self.compute.pooled(torch.cat([first, second], dim=1).exp().mean(dim=-2))  # (r, k)
        disagreements = disagreement(first, second)
        losses = disagreements + self.entropy * marginal_divergence(sizes, self.prior.to(z.device))
        # The sum, so that a head is trained as it would be alone.
        return {
            "loss": losses.sum(),
            "lowest": self.compute.pooled(losses.detach()).min(),
            "disagreement": disagreements.mean(),
        }

    def own_losses(self, walks: int, seed: int) -> Float[Tensor, " r"]:
        """Every head's loss over all training images, each with the ends of so many random walks, the same for all."""
        z = self.features()
        return self.compute.once(lambda: self._own_losses(z, walks, seed))

    def _own_losses(self, z: Float[Tensor, "n d"], walks: int, seed: int) -> Float[Tensor, " r"]:
        generator = torch.Generator().manual_seed(seed)
        everyone = torch.arange(len(z))
        ends = [
            self.neighbourhood.partners(everyone, torch.rand(len(z), self.walk, generator=generator))
            for _ in range(walks)
        ]
        losses = []
        for head in range(len(self.heads.weight)):
            log_p = map_batches(partial(self._log_p, head), z, self.heads.weight.device)
            away = torch.stack([disagreement(log_p, log_p[end]) for end in ends]).mean()
            losses.append(away + self.entropy * marginal_divergence(log_p.exp().mean(dim=-2), self.prior))
        return torch.stack(losses)

    def _log_p(self, head: int, z: Float[Tensor, "n d"]) -> Float[Tensor, "n k"]:
        log_p: Tensor = self.heads(z, slice(head, head + 1))
        return log_p[0]
