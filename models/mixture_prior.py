"""The prior of VaDE: a Gaussian mixture in the latent space whose parameters are trained by gradients.

Source: Jiang, Zheng, Tan, Tang, Zhou, "Variational Deep Embedding", IJCAI 2017, section 3.1.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from losses.vade import Mixture, log_likelihoods, log_responsibilities

SMALLEST_WEIGHT = 1e-8
"""Of a component when it is placed: an empty one has weight 0, whose logarithm is no number to train."""


class MixturePrior(nn.Module):
    """k Gaussians with diagonal covariances. π are the softmax of logits, σ² the exponentials of log-variances.

    Args:
        clusters: k.
        latent: d.
        floor: the least variance, in squared units of the latent. A component that closes in on one point gains
            likelihood without end; the floor is the end.
    """

    log_floor: Tensor

    def __init__(self, clusters: int, latent: int, floor: float) -> None:
        super().__init__()
        # In the state, so that a placed mixture is shared only with runs of the same floor.
        self.register_buffer("log_floor", torch.tensor(math.log(floor)))
        self.logits = nn.Parameter(torch.zeros(clusters))
        self.means = nn.Parameter(torch.zeros(clusters, latent))
        self.log_variances = nn.Parameter(torch.zeros(clusters, latent))

    @property
    def mixture(self) -> Mixture:
        """The mixture, which gradients flow through."""
        return Mixture(torch.log_softmax(self.logits, dim=0), self.means, self.log_variances)

    def place(self, weights: Float[Tensor, " k"], means: Float[Tensor, "k d"], variances: Float[Tensor, "k d"]) -> None:
        """Put the mixture where an initialisation found it; variances below the floor are raised to it.

        Args:
            weights: π, which sum to 1.
            means: μ.
            variances: σ².
        """
        with torch.no_grad():
            self.logits.copy_(weights.clamp_min(SMALLEST_WEIGHT).log())
            self.means.copy_(means)
            self.log_variances.copy_(variances.log())
            self.raise_to_floor()

    def raise_to_floor(self) -> None:
        """Raise variances that a step took below the floor to it.

        By hand after the step: a clamp within the loss would have no gradient there, and hold them down for ever.
        """
        with torch.no_grad():
            self.log_variances.clamp_(min=self.log_floor)

    def forward(self, z: Float[Tensor, "n d"]) -> Float[Tensor, "n k"]:
        """Responsibilities γ = p(c|z), rows sum to 1."""
        return log_responsibilities(z, self.mixture).exp()

    def log_likelihoods(self, z: Float[Tensor, "n d"]) -> Float[Tensor, " n"]:
        """log p(z), in nats."""
        return log_likelihoods(z, self.mixture)
