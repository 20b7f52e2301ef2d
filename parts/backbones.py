"""Networks between images and their latents, each with its own pretraining: what all deep methods stand on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from jaxtyping import Float, Num, UInt8
from torch import Tensor, nn

from configs.schema import PretrainSettings, Settings
from data.noise import Noise
from losses.reconstruction import reconstruction_mse
from models.attention import attention_maps, has_attention
from models.autoencoder import Autoencoder, ImageShape, ModelError, refuse_points
from models.build import build_autoencoder, build_encoder, build_vae, latent_size
from models.projection import ProjectionHead, unit_length
from models.settings import AutoencoderSettings, ConvLayer, ConvSettings, Init
from models.vae import VAE
from parts.backbone import Backbone, Branch, LatentLosses
from parts.contrastive_pretraining import ContrastivePretrainSettings, contrastive_pretraining
from parts.greedy_pretraining import greedy_pretraining
from parts.phases import Compute, Phase
from parts.pretraining import pretraining
from parts.vae_pretraining import NLL, VAEPretrainSettings, bound_terms, vae_pretraining

Pixels = Literal["standardised", "unit"]


class AutoencoderStageSettings(Settings):
    """The latent z of an autoencoder that was trained on the reconstruction."""

    pixels: Pixels = "standardised"
    """Standardised by the training images' mean and sd, or from 0 to 1 as in most papers. An error of 1 in
    standardised pixels is one of the pixels' variance in the other. unit: points are left as they are."""
    model: AutoencoderSettings = ConvSettings()
    pretrain: PretrainSettings = PretrainSettings()


class VAEStageSettings(Settings):
    """The mean μ of a variational autoencoder's posterior. Its pixels run from 0 to 1; points are standardised."""

    model: AutoencoderSettings = ConvSettings()
    pretrain: VAEPretrainSettings = VAEPretrainSettings()


class ContrastiveStageSettings(Settings):
    """The feature, of length 1, of an encoder that was trained on pairs of views."""

    pixels: Pixels = "standardised"
    model: AutoencoderSettings = ConvSettings(
        latent=256,
        layers=(
            ConvLayer(channels=32, kernel=4),
            ConvLayer(channels=64, kernel=4),
            ConvLayer(channels=128, kernel=3),
        ),
        hidden=(),
        batch_norm=True,
    )
    """Its encoder alone; of the autoencoder that it describes the decoder is not built."""
    pretrain: ContrastivePretrainSettings = ContrastivePretrainSettings()


StageSettings = AutoencoderStageSettings | VAEStageSettings | ContrastiveStageSettings
"""Of any backbone."""


class TrainedBackbone(Backbone):
    """A network that is trained here, first on its own objective."""

    settings: StageSettings

    def __init__(self, settings: StageSettings, shape: ImageShape) -> None:
        super().__init__(shape, latent_size(settings.model, shape))
        self.settings = settings
        self.has_decoder = self.has_decoder and not shape.is_point

    def fresh(self, init: Init) -> Backbone:
        model = self.settings.model.model_copy(update={"init": init})
        return type(self)(self.settings.model_copy(update={"model": model}), self.shape)

    @property
    def has_attention(self) -> bool:
        return has_attention(self.encoder)

    def attention(self, images: Num[Tensor, "n c h w"]) -> Float[Tensor, "n rows columns"]:
        return attention_maps(self.encoder, self.normalise(images))


class AutoencoderBackbone(TrainedBackbone):
    """z of an autoencoder."""

    name = "ae"
    settings: AutoencoderStageSettings

    def __init__(self, settings: AutoencoderStageSettings, shape: ImageShape) -> None:
        super().__init__(settings, shape)
        self.averaged = shape.pixels
        self.autoencoder = build_autoencoder(settings.model, shape)

    def phases(self, images: Num[Tensor, "n c h w"], compute: Compute) -> Sequence[Phase]:
        settings = self.settings
        if settings.pixels == "standardised":
            self.normalise.fit(images)
        layers = greedy_pretraining(self.normalise, self.autoencoder, settings.pretrain, settings.model, len(images))
        whole = pretraining(self.normalise, self.autoencoder, settings.pretrain, settings.model, len(images))
        return (*layers, whole)

    def encode(self, images: Num[Tensor, "n c h w"]) -> Float[Tensor, "n d"]:
        return self.autoencoder.encode(self.normalise(images))

    def decode(self, points: Float[Tensor, "n d"]) -> UInt8[Tensor, "n c h w"]:
        return self.normalise.invert(self.autoencoder.decode(points))

    def branch(self, keep: bool) -> Branch:
        return AutoencoderBranch(self.autoencoder) if keep else EncoderBranch(self.autoencoder.encoder)

    def networks(self) -> Mapping[str, nn.Module]:
        return {"encoder": self.autoencoder.encoder, "decoder": self.autoencoder.decoder}

    @property
    def encoder(self) -> nn.Module:
        return self.autoencoder.encoder


class EncoderBranch(Branch):
    """z alone."""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, x: Float[Tensor, "b c h w"], noise: Noise) -> LatentLosses:
        return LatentLosses(self.encoder(x), {})


class AutoencoderBranch(Branch):
    """z and the reconstruction error from it."""

    def __init__(self, autoencoder: Autoencoder) -> None:
        super().__init__()
        self.autoencoder = autoencoder

    def forward(self, x: Float[Tensor, "b c h w"], noise: Noise) -> LatentLosses:
        z = self.autoencoder.encode(x)
        return LatentLosses(z, {"reconstruction": reconstruction_mse(self.autoencoder.decode(z), x)})


class VAEBackbone(TrainedBackbone):
    """μ of a variational autoencoder; nothing is sampled outside its training."""

    name = "vae"
    averaged = 1
    settings: VAEStageSettings

    def __init__(self, settings: VAEStageSettings, shape: ImageShape) -> None:
        super().__init__(settings, shape)
        self.vae = build_vae(settings.model, shape)

    def phases(self, images: Num[Tensor, "n c h w"], compute: Compute) -> Sequence[Phase]:
        if self.shape.is_point:
            self.normalise.fit(images)
        return (vae_pretraining(self.normalise, self.vae, self.settings.pretrain, self.settings.model, len(images)),)

    def encode(self, images: Num[Tensor, "n c h w"]) -> Float[Tensor, "n d"]:
        mean, _ = self.vae.encode(self.normalise(images))
        return mean

    def decode(self, points: Float[Tensor, "n d"]) -> UInt8[Tensor, "n c h w"]:
        pixels = self.vae.decode(points)
        if self.settings.pretrain.likelihood == "bernoulli":
            pixels = pixels.sigmoid()
        return self.normalise.invert(pixels)

    def branch(self, keep: bool) -> Branch:
        return VAEBranch(self.vae, self.settings.pretrain.likelihood) if keep else MeanBranch(self.vae.encoder)

    def networks(self) -> Mapping[str, nn.Module]:
        return {"encoder": self.vae.encoder, "decoder": self.vae.decoder}

    @property
    def encoder(self) -> nn.Module:
        return self.vae.encoder


class MeanBranch(Branch):
    """μ alone, from an encoder that gives μ and log σ²."""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, x: Float[Tensor, "b c h w"], noise: Noise) -> LatentLosses:
        return LatentLosses(self.encoder(x).chunk(2, dim=1)[0], {})


class VAEBranch(Branch):
    """μ, and both terms of the evidence lower bound: -log p(x|z) from one sample z, and KL(q(z|x) ‖ N(0, I))."""

    def __init__(self, vae: VAE, likelihood: str) -> None:
        super().__init__()
        self.vae = vae
        self.nll = NLL[likelihood]

    def forward(self, x: Float[Tensor, "b c h w"], noise: Noise) -> LatentLosses:
        mu, reconstruction, kl = bound_terms(self.vae, self.nll, x, noise)
        return LatentLosses(mu, {"reconstruction": reconstruction, "kl": kl})


class ContrastiveBackbone(TrainedBackbone):
    """The feature, of length 1, of an encoder without a decoder."""

    name = "simclr"
    has_decoder = False
    averaged = 1
    settings: ContrastiveStageSettings

    def __init__(self, settings: ContrastiveStageSettings, shape: ImageShape) -> None:
        refuse_points(shape, "training on pairs of views (pretrain.objective=contrastive)")
        super().__init__(settings, shape)
        self.network = build_encoder(settings.model, shape)
        self.head = ProjectionHead(self.latent, settings.pretrain.projection, settings.pretrain.memory)

    def phases(self, images: Num[Tensor, "n c h w"], compute: Compute) -> Sequence[Phase]:
        if self.settings.pixels == "standardised":
            self.normalise.fit(images)
        settings = self.settings
        return (
            contrastive_pretraining(self.normalise, self.network, self.head, settings.pretrain, len(images), compute),
        )

    def encode(self, images: Num[Tensor, "n c h w"]) -> Float[Tensor, "n d"]:
        return unit_length(self.network(self.normalise(images)))

    def branch(self, keep: bool) -> Branch:
        if keep:
            raise ModelError(
                "these settings keep a decoder's loss beside the clustering loss, and pretrain.objective contrastive "
                "trains an encoder alone: set pretrain.objective to reconstruction or elbo."
            )
        return DirectionBranch(self.network)

    def networks(self) -> Mapping[str, nn.Module]:
        return {"encoder": self.network}

    @property
    def encoder(self) -> nn.Module:
        return self.network


class DirectionBranch(Branch):
    """The feature, of length 1."""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, x: Float[Tensor, "b c h w"], noise: Noise) -> LatentLosses:
        return LatentLosses(unit_length(self.encoder(x)), {})
