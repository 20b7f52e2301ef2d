"""Training of a variational autoencoder, the first phase of methods that cluster its μ.

Sources: Kingma, Welling, "Auto-Encoding Variational Bayes", ICLR 2014; β of Higgins et al., "beta-VAE", ICLR 2017;
its warm-up of Sønderby et al., "Ladder Variational Autoencoders", NeurIPS 2016, section 2.3.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Literal

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from configs.schema import OptimiserSettings, PositiveInt, Settings, Share
from data.noise import Noise
from losses.gaussian_kl import gaussian_kl
from losses.reconstruction import bernoulli_nll, gaussian_nll
from models.autoencoder import ModelError
from models.normalise import Normalise
from models.settings import AutoencoderSettings
from models.vae import VAE, reparameterise
from parts.phases import Batch, GradientPhase, Objective, epochs_needed
from parts.pretraining import require_unit_pixels

NLL: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"bernoulli": bernoulli_nll, "gaussian": gaussian_nll}
"""-log p(x|z) by the likelihood's name, from the decoder's output and the pixels."""


class VAEPretrainSettings(Settings):
    """Training of a variational autoencoder on the evidence lower bound."""

    objective: Literal["elbo"] = "elbo"
    epochs: PositiveInt = 10
    min_steps: Annotated[int, Field(ge=0)] = 2000
    """As many epochs more as a small data set needs to reach this number of steps."""
    batch_size: PositiveInt = 256
    beta: Annotated[float, Field(ge=0)] = 1.0
    """Weight of the KL divergence; 1 is the evidence lower bound."""
    sample: bool = True
    """False: z = μ. With beta 0 it is a deterministic autoencoder, as VaDE's authors pretrain."""
    warmup: Share = 0.0
    """Share of the steps over which β grows linearly from 0."""
    likelihood: Literal["bernoulli", "gaussian"] = "bernoulli"
    """Of a pixel given z. bernoulli: the decoder gives logits, pixels run from 0 to 1. gaussian: the decoder gives the
    mean, the variance is 1 in the pixels' own scale."""
    optimiser: OptimiserSettings = OptimiserSettings(learning_rate=1e-3)


class ELBOObjective(Objective):
    """-log p(x|z) + β·KL(q(z|x) ‖ p(z)), both summed over dimensions, with one sample of z an image.

    At β = 1 it is the negative evidence lower bound (Kingma & Welling, eq. 7, L = 1).

    Args:
        normalise: to pixels from 0 to 1, or in any scale under the Gaussian likelihood.
        vae: what is trained; it counts the steps.
        settings: of the phase.
        warmup_steps: steps over which β grows from 0; at 0 it is whole from the first.
    """

    def __init__(self, normalise: Normalise, vae: VAE, settings: VAEPretrainSettings, warmup_steps: int) -> None:
        super().__init__()
        self.normalise = normalise
        self.vae = vae
        self.nll = NLL[settings.likelihood]
        self.sample = settings.sample
        self.beta = settings.beta
        self.warmup_steps = warmup_steps

    def forward(self, batch: Batch) -> dict[str, Float[Tensor, ""]]:
        x = self.normalise(batch.images)
        _, reconstruction, kl = bound_terms(self.vae, self.nll, x, batch.noise, self.sample)
        loss = reconstruction + self._beta() * kl
        if self.training:
            self.vae.steps += 1
        return {"loss": loss, "reconstruction": reconstruction, "kl": kl}

    def _beta(self) -> float | Tensor:
        """β of the step under way; in evaluation, of the step to come, so that both losses stay comparable."""
        if self.warmup_steps == 0:
            return self.beta
        return self.beta * torch.clamp(self.vae.steps / self.warmup_steps, max=1.0)


def bound_terms(
    vae: VAE,
    nll: Callable[[Tensor, Tensor], Tensor],
    x: Float[Tensor, "b c h w"],
    noise: Noise,
    sample: bool = True,
) -> tuple[Float[Tensor, "b d"], Float[Tensor, ""], Float[Tensor, ""]]:
    """μ, and both terms of the negative lower bound: -log p(x|z) of one sample z, and KL(q(z|x) ‖ N(0, I)).

    Args:
        vae: encoder and decoder.
        nll: an entry of `NLL`.
        x: normalised pixels.
        noise: of the sample.
        sample: False takes μ for z.
    """
    # The sample needs the pixels' precision, whatever the layers computed in; the losses see to their own.
    mu, log_variance = (part.to(x.dtype) for part in vae.encode(x))
    z = reparameterise(mu, log_variance, noise.normal(mu.shape[1]).to(x.dtype)) if sample else mu
    return mu, nll(vae.decode(z), x), gaussian_kl(mu, log_variance)


def vae_pretraining(
    normalise: Normalise,
    vae: VAE,
    settings: VAEPretrainSettings,
    network: AutoencoderSettings,
    images: int,
) -> GradientPhase:
    """The phase that trains `vae` on the evidence lower bound of so many `images`; `network` is what built it.

    Raises:
        ModelError: when the decoder's output is not what the likelihood takes, or the pixels' scale is not.
    """
    if settings.likelihood == "bernoulli" and network.output == "sigmoid":
        raise ModelError(
            "pretrain.likelihood bernoulli takes logits, and model.output sigmoid would squash them twice: "
            "use model.output linear, or pretrain.likelihood gaussian."
        )
    if settings.likelihood == "bernoulli":
        require_unit_pixels(normalise, "pretrain.likelihood bernoulli")
    if network.output == "sigmoid":
        require_unit_pixels(normalise, "model.output sigmoid")
    epochs = epochs_needed(images, settings.batch_size, settings.epochs, settings.min_steps)
    steps = epochs * max(images // settings.batch_size, 1)
    return GradientPhase(
        name="pretrain",
        module=ELBOObjective(normalise, vae, settings, round(settings.warmup * steps)),
        optimiser=settings.optimiser,
        epochs=epochs,
        batch_size=settings.batch_size,
        validates=True,
    )
