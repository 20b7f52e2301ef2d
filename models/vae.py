"""The variational autoencoder.

Source: Kingma, Welling, "Auto-Encoding Variational Bayes", ICLR 2014; the Gaussian encoder is that of appendix C.2.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from models.held_within import held_within

LOG_VARIANCE_BOUND = 20.0
"""log σ² stays within ± this. exp overflows float32 at 88: one wild output of the encoder, early in the training,
would end the run with an infinite loss. Within the bound σ runs from 5e-5 to 2e4, beyond what an image's posterior
under the prior N(0, I) ever needs, so that a training that goes well never meets it. One that meets it comes back."""


class VAE(nn.Module):
    """An encoder to the posterior q(z|x) = N(μ, diag σ²), and a decoder back.

    The decoder's output is what the likelihood takes: logits of pixels, or their mean.

    Args:
        encoder: (n, c, h, w) to (n, 2d): μ, then log σ².
        decoder: (n, d) to (n, c, h, w).
    """

    steps: Tensor
    """Training steps so far. Like batch-norm's counter of batches it is a buffer of the network, because that is what
    checkpoints keep: the weight of a loss that is warmed up goes on where it stopped."""

    def __init__(self, encoder: nn.Module, decoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))

    def encode(self, x: Float[Tensor, "n c h w"]) -> tuple[Float[Tensor, "n d"], Float[Tensor, "n d"]]:
        """μ and log σ² of the posterior of every image."""
        mu, log_variance = self.encoder(x).chunk(2, dim=1)
        return mu, held_within(log_variance, LOG_VARIANCE_BOUND)

    def decode(self, z: Float[Tensor, "n d"]) -> Float[Tensor, "n c h w"]:
        """The likelihood's parameter for every pixel: the logit under Bernoulli, the mean under Gauss."""
        x: Tensor = self.decoder(z)
        return x


def reparameterise(
    mu: Float[Tensor, "n d"], log_variance: Float[Tensor, "n d"], noise: Float[Tensor, "n d"]
) -> Float[Tensor, "n d"]:
    """z = μ + σ·ε: a sample of N(μ, σ²) that gradients flow through (Kingma & Welling, section 2.4).

    Args:
        mu: mean.
        log_variance: log σ².
        noise: ε, drawn from N(0, I).
    """
    return mu + torch.exp(0.5 * log_variance) * noise
