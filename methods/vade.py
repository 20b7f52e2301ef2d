"""Variational deep embedding (VaDE): a variational autoencoder whose prior is a Gaussian mixture.

1. A variational autoencoder is pretrained. EM on the means μ̃ of its posteriors finds the first mixture.
2. Network and mixture are trained together on the evidence lower bound (eq. 12).
3. A cluster is a component of the mixture. The answer is the largest responsibility γ = p(c|z) at z = μ̃ (eq. 16).

Source: Jiang, Zheng, Tan, Tang, Zhou, "Variational Deep Embedding: An Unsupervised and Generative Approach to
Clustering", IJCAI 2017.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from jaxtyping import Float, Float64, Int64, Num
from pydantic import model_validator
from torch import Tensor

from configs.schema import OptimiserSettings, PositiveFloat, PositiveInt, Share
from estimators.base import Clusterer
from estimators.settings import GMMSettings
from losses.vade import cluster_divergence, latent_divergence, log_responsibilities
from methods.joint import JointConfig, SoftAssignments
from models.autoencoder import ImageShape
from models.batched import map_batches
from models.mixture_prior import MixturePrior
from models.normalise import Normalise
from models.vae import VAE, reparameterise
from parts.backbones import Pixels, VAEBackbone
from parts.joint_training import ClusteringPhaseSettings
from parts.phases import Batch, Compute, Objective, Phase
from parts.pretraining_settings import PretrainingSettings
from parts.vae_pretraining import NLL, VAEPretrainSettings


class VaDEObjective(Objective):
    """The negative evidence lower bound, with one sample of z an image (eq. 12, L = 1).

        -log p(x|z) + sum_c gamma_c KL(q(z|x) ‖ p(z|c)) + KL(gamma ‖ pi),   gamma = p(c|z)     (eq. 16)

    The gradient flows through γ as well: it is a function of the sample, no parameter of its own.

    Args:
        normalise: to pixels from 0 to 1.
        vae: encoder and decoder.
        prior: the mixture.
        likelihood: of a pixel given z, a key of `NLL`.
        mixture_factor: on the learning rate of the mixture.
    """

    def __init__(
        self, normalise: Normalise, vae: VAE, prior: MixturePrior, likelihood: str, mixture_factor: float
    ) -> None:
        super().__init__()
        self.normalise = normalise
        self.vae = vae
        self.prior = prior
        self.nll = NLL[likelihood]
        self.rate_factors = {"prior": mixture_factor}

    def forward(self, batch: Batch) -> dict[str, Float[Tensor, ""]]:
        x = self.normalise(batch.images)
        # Sums over pixels and exponentials need the pixels' precision, whatever the layers computed in.
        mu, log_variance = (part.to(x.dtype) for part in self.vae.encode(x))
        z = reparameterise(mu, log_variance, batch.noise.normal(mu.shape[1]).to(x.dtype))
        mixture = self.prior.mixture
        log_gamma = log_responsibilities(z, mixture)
        reconstruction = self.nll(self.vae.decode(z).to(x.dtype), x)
        latent = latent_divergence(mu, log_variance, log_gamma, mixture)
        cluster = cluster_divergence(log_gamma, mixture)
        loss = reconstruction + latent + cluster
        return {"loss": loss, "reconstruction": reconstruction, "latent_kl": latent, "cluster_kl": cluster}

    def after_step(self, batch: Batch) -> None:
        self.prior.raise_to_floor()


def posterior_variances(gamma: Float[Tensor, "n k"], log_variance: Float[Tensor, "n d"]) -> Float64[Tensor, "k d"]:
    """Mean of the posteriors' σ̃² within every cluster, sum_i γ_ic σ̃_ij² / sum_i γ_ic; 0 for an empty one.

    EM on the means μ̃ finds the variance of the means alone. The bound given γ is largest at that variance plus this
    one (the derivative of eq. 12 by σ_c² is 0 there). Without it a latent dimension that the network does not use,
    where all means are near 0 and all σ̃ near 1, costs hundreds of nats at the start.
    """
    return _means_within(gamma, log_variance.double().exp())


def variances_within(gamma: Float[Tensor, "n k"], mu: Float[Tensor, "n d"]) -> Float64[Tensor, "k d"]:
    """Variance of the posteriors' means μ̃ within every cluster, a dimension by itself; 0 for an empty one.

    It is what EM with diagonal covariances ends at; of the γ of another mixture it makes diagonal components.
    """
    mu = mu.double()
    return (_means_within(gamma, mu.square()) - _means_within(gamma, mu).square()).clamp_min(0)


def _means_within(gamma: Float[Tensor, "n k"], values: Float64[Tensor, "n d"]) -> Float64[Tensor, "k d"]:
    weights = gamma.double()
    total = weights.sum(dim=0).clamp_min(torch.finfo(torch.float64).tiny)
    return weights.T @ values / total.unsqueeze(1)


class VaDE(SoftAssignments):
    """A variational autoencoder, then a Gaussian mixture of its means, then both together.

    Args:
        config: of the run.
        shape: of the images.

    Raises:
        ModelError: when the network does not fit the images.
    """

    backbone: VAEBackbone

    def __init__(self, config: VaDEConfig, shape: ImageShape) -> None:
        super().__init__(config, shape)
        self.config = config
        self.prior = MixturePrior(config.clusters, self.backbone.latent, config.cluster.floor)

    def phases(self, images: Num[Tensor, "n c h w"], compute: Compute) -> Sequence[Phase]:
        """pretrain: the autoencoder. initialise: a mixture of μ̃, σ̃² added. cluster: the evidence lower bound."""
        settings, initialise, backbone, prior = self.config.cluster, self.config.initialise, self.backbone, self.prior

        def posterior(part: Num[Tensor, "n c h w"]) -> Float[Tensor, "n parts"]:
            return torch.cat(backbone.vae.encode(backbone.normalise(part)), dim=1)  # μ̃ and log σ̃² side by side

        def place(clusterer: Clusterer) -> None:
            mu, log_variance = compute.map(posterior, images).chunk(2, dim=1)
            gamma = clusterer.assign(compute.place(mu)).probabilities
            assert gamma is not None, "a mixture has probabilities"
            weights, means, variances = (clusterer.arrays[name] for name in ("weights", "means", "covariances"))
            if initialise.covariance != "diagonal":
                variances = variances_within(gamma, mu)
            if initialise.posterior_variances:
                variances = variances + posterior_variances(gamma, log_variance)
            if initialise.weights == "uniform":
                weights = torch.full_like(weights, 1 / len(weights))
            prior.place(weights, means, variances)

        def refresh() -> Int64[Tensor, " n"]:
            gamma = compute.map(lambda part: prior(backbone.encode(part)), images)
            return gamma.argmax(dim=1)

        likelihood = backbone.settings.pretrain.likelihood
        objective = VaDEObjective(backbone.normalise, backbone.vae, prior, likelihood, settings.mixture_factor)
        training = self.joint_training(images, compute)
        return (
            *training.pretrain(),
            training.initialise(initialise, prior, place),
            training.cluster(settings, objective, refresh, tol=settings.tol, validates=True),
        )

    def soft(self, z: Float[Tensor, "n d"]) -> Float[Tensor, "n k"]:
        """γ of the posteriors' means."""
        gamma: Tensor = self.prior(z)
        return gamma

    def criteria(self, z: Float[Tensor, "n d"]) -> dict[str, float]:
        """log_likelihood: mean of log p(z) under the mixture, nats."""
        values = map_batches(self.prior.log_likelihoods, z, self.backbone.device)
        return {"log_likelihood": float(values.double().mean())}

    def centroid_positions(self) -> Float[Tensor, "k d"]:
        """The components' means in the latent space, on the CPU."""
        return self.prior.means.detach().float().cpu()


class VaDESettings(ClusteringPhaseSettings):
    """The clustering phase: the evidence lower bound, network and mixture together."""

    floor: PositiveFloat = 1e-4
    """Least variance of a component, in squared units of the latent."""
    mixture_factor: PositiveFloat = 1.0
    """On the learning rate, for the mixture's weights, means and variances."""
    update_interval: PositiveInt = 234
    """Steps between two assignments of all training images, which tell how many changed."""
    tol: Share = 0.0
    """The phase ends when a smaller share of the assignments changes; 0, as in the paper: never."""
    optimiser: OptimiserSettings = OptimiserSettings(learning_rate=2e-3, epsilon=1e-4, schedule="step")


class VaDEInitialiseSettings(GMMSettings):
    """Where the mixture begins: at one of the posteriors' means."""

    covariance: Literal["full", "tied", "diagonal", "spherical"] = "diagonal"
    """Of EM. VaDE's own components are diagonal: of the clusters that another kind finds they take the variances."""
    redos: PositiveInt = 5
    posterior_variances: bool = True
    """Add the mean of the posteriors' variances to the components'. Without training of σ̃ it means nothing."""
    weights: Literal["mixture", "uniform"] = "mixture"
    """π of the mixture, or 1 / k."""


class VaDEConfig(JointConfig):
    """Config of VaDE."""

    method: Literal["vade"] = "vade"
    pixels: Pixels = "unit"
    pretrain: PretrainingSettings = VAEPretrainSettings(
        warmup=0.1, optimiser=OptimiserSettings(learning_rate=1e-3, schedule="one-cycle")
    )
    initialise: VaDEInitialiseSettings = VaDEInitialiseSettings()
    cluster: VaDESettings = VaDESettings()

    @model_validator(mode="after")
    def _is_a_vae(self) -> VaDEConfig:
        if self.pretrain.objective != "elbo":
            raise ValueError(
                f"vade trains a variational autoencoder, but pretrain.objective {self.pretrain.objective} makes a "
                "plain one: set pretrain.objective: elbo (beta: 0 and sample: false pretrain it as a plain one)"
            )
        return self
