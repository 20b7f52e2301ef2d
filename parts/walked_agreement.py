"""What heads on a frozen feature are trained on and compared by: they agree at both ends of walks between neighbours.

Sources: an image and its neighbour are of one cluster, and clusters are of one size: Van Gansbeke et al., "SCAN", ECCV
2020, eq. 2; the second term under any prior is one of mutual information, Hu et al., "Learning Discrete Representations
via Information Maximizing Self-Augmented Training", ICML 2017 (IMSAT).
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from losses.scan import disagreement, marginal_divergence
from models.cluster_heads import ClusterHeads
from parts.known_links import LinkedHeads
from parts.neighbourhood import Neighbourhood, own_losses
from parts.phases import Batch, Compute, Objective
from parts.size_prior import SizePrior
from parts.training_features import TrainingFeatures


class HeadsObjective(Objective):
    """Disagreement of an image and its partner + λ·KL(sizes ‖ prior), each head for itself, on frozen features.

    Args:
        heads: r of them.
        neighbourhood: of the training images.
        features: of the training images.
        prior: of the cluster sizes.
        entropy: λ.
        walk: the steps of a walk.
        compute: the machine: cluster sizes are those of the whole batch, whatever the number of processes.
        known: a term for pairs of which it is known whether they belong together, if there are any.
    """

    def __init__(
        self,
        heads: ClusterHeads,
        neighbourhood: Neighbourhood,
        features: TrainingFeatures,
        prior: SizePrior,
        entropy: float,
        walk: int,
        compute: Compute,
        known: LinkedHeads | None = None,
    ) -> None:
        super().__init__()
        self.heads = heads
        self.neighbourhood = neighbourhood
        self.features = features
        self.prior, self.entropy, self.walk = prior, entropy, walk
        self.compute = compute
        self.known = known

    def forward(self, batch: Batch) -> dict[str, Float[Tensor, ""]]:
        partners = self.neighbourhood.partners(batch.indices, batch.noise.uniform(self.walk))
        z = self.features(batch.indices.device)
        first, second = self.heads(z[batch.indices]), self.heads(z[partners])
        sizes = self.compute.pooled(torch.cat([first, second], dim=1).exp().mean(dim=-2))  # (r, k)
        disagreements = disagreement(first, second)
        losses = disagreements + self.entropy * marginal_divergence(sizes, self.prior(sizes))
        told = {}
        if self.known is not None:
            term = self.known(z, batch)
            losses, told = losses + term, {"known": term.mean()}
        # The sum, so that a head is trained as it would be alone.
        return {
            "loss": losses.sum(),
            "lowest": self.compute.pooled(losses.detach()).min(),
            "disagreement": disagreements.mean(),
            **told,
        }

    def own_losses(self, walks: int, seed: int) -> Float[Tensor, " r"]:
        """Every head's loss over all training images, each with the ends of so many random walks, the same for all."""
        z = self.features(self.heads.weight.device)

        def compared() -> Float[Tensor, " r"]:
            losses = own_losses(self.heads, z, self._ends(z, walks, seed), self.entropy, self.prior)
            return losses if self.known is None else losses + self.known.own_losses(z, seed)

        return self.compute.once(compared)

    def _ends(self, z: Float[Tensor, "n d"], walks: int, seed: int) -> list[Int64[Tensor, " n"]]:
        generator = torch.Generator().manual_seed(seed)  # the same walks on any device
        everyone = torch.arange(len(z), device=z.device)
        uniform = [torch.rand(len(z), self.walk, generator=generator) for _ in range(walks)]
        return [self.neighbourhood.partners(everyone, numbers.to(z.device)) for numbers in uniform]
