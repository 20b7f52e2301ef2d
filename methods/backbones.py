"""Networks between images and their latents, each with its own pretraining: what all deep methods stand on."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, NamedTuple

from jaxtyping import Float, UInt8
from pydantic import Discriminator, Tag
from torch import Tensor, nn

from configs.schema import PretrainSettings, Settings
from data.noise import Noise
from losses.gaussian_kl import gaussian_kl
from losses.reconstruction import reconstruction_mse
from methods.base import Phase
from methods.greedy_pretraining import greedy_pretraining
from methods.image_encoders import ImageEncoder
from methods.pretraining import pretraining
from methods.vae_pretraining import NLL, VAEPretrainSettings, vae_pretraining
from models.autoencoder import Autoencoder, ImageShape
from models.build import build_autoencoder, build_vae, latent_size
from models.normalise import Normalise
from models.settings import AutoencoderSettings, ConvSettings
from models.vae import VAE, reparameterise

Pixels = Literal["standardised", "unit"]


class AutoencoderStageSettings(Settings):
    """The latent z of an autoencoder that was trained on the reconstruction."""

    pixels: Pixels = "standardised"
    """Standardised by the training images' mean and sd, or from 0 to 1 as in most papers. An error of 1 in
    standardised pixels is one of the pixels' variance in the other."""
    model: AutoencoderSettings = ConvSettings()
    pretrain: PretrainSettings = PretrainSettings()


class VAEStageSettings(Settings):
    """The mean μ of a variational autoencoder's posterior. Its pixels run from 0 to 1."""

    model: AutoencoderSettings = ConvSettings()
    pretrain: VAEPretrainSettings = VAEPretrainSettings()


def _objective(value: Any) -> str:
    """Which pretraining a section of a config is; reconstruction where it does not say."""
    found = value.get("objective") if isinstance(value, Mapping) else getattr(value, "objective", None)
    return str(found or "reconstruction")


PretrainingSettings = Annotated[
    Annotated[PretrainSettings, Tag("reconstruction")] | Annotated[VAEPretrainSettings, Tag("elbo")],
    Discriminator(_objective),
]
"""`pretrain.objective` says which network a deep method stands on: reconstruction an autoencoder, elbo a VAE."""


class LatentLosses(NamedTuple):
    """What a network makes of a batch while a clustering loss is trained beside its own.

    Attributes:
        z: (b, d), what is clustered.
        own: the network's own losses by name; empty where they are not kept.
    """

    z: Float[Tensor, "b d"]
    own: dict[str, Float[Tensor, ""]]


class Branch(nn.Module):
    """The part of a network that a clustering phase trains: `forward(x, noise)` gives z and the kept losses."""

    def forward(self, x: Float[Tensor, "b c h w"], noise: Noise) -> LatentLosses:
        raise NotImplementedError


class Backbone(ImageEncoder):
    """A network from images to a latent and back.

    Attributes:
        latent: d.
    """

    latent: int

    @abstractmethod
    def branch(self, keep: bool) -> Branch:
        """What is trained beside a clustering loss: with `keep` the decoder and the network's own losses as well."""

    @property
    @abstractmethod
    def encoder(self) -> nn.Module:
        """The part from pixels to the latent."""

    @property
    @abstractmethod
    def decoder(self) -> nn.Module:
        """The part back."""

    @abstractmethod
    def fresh(self) -> Backbone:
        """Another one with new weights from torch's generator."""


class AutoencoderBackbone(Backbone):
    """z of an autoencoder."""

    name = "ae"

    def __init__(self, settings: AutoencoderStageSettings, shape: ImageShape) -> None:
        super().__init__()
        self.settings, self.shape = settings, shape
        self.latent = latent_size(settings.model, shape)
        self.normalise = Normalise(shape.channels)
        self.autoencoder = build_autoencoder(settings.model, shape)

    def phases(self, images: UInt8[Tensor, "n c h w"]) -> Sequence[Phase]:
        settings = self.settings
        if settings.pixels == "standardised":
            self.normalise.fit(images)
        layers = greedy_pretraining(self.normalise, self.autoencoder, settings.pretrain, settings.model, len(images))
        whole = pretraining(self.normalise, self.autoencoder, settings.pretrain, settings.model, len(images))
        return (*layers, whole)

    def encode(self, images: UInt8[Tensor, "n c h w"]) -> Float[Tensor, "n d"]:
        return self.autoencoder.encode(self.normalise(images))

    def decode(self, points: Float[Tensor, "n d"]) -> UInt8[Tensor, "n c h w"]:
        return self.normalise.invert(self.autoencoder.decode(points))

    def branch(self, keep: bool) -> Branch:
        return AutoencoderBranch(self.autoencoder) if keep else EncoderBranch(self.autoencoder.encoder)

    def networks(self) -> Mapping[str, nn.Module]:
        return {"encoder": self.encoder, "decoder": self.decoder}

    @property
    def encoder(self) -> nn.Module:
        return self.autoencoder.encoder

    @property
    def decoder(self) -> nn.Module:
        return self.autoencoder.decoder

    def fresh(self) -> Backbone:
        return AutoencoderBackbone(self.settings, self.shape)


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


class VAEBackbone(Backbone):
    """μ of a variational autoencoder; nothing is sampled outside its training."""

    name = "vae"

    def __init__(self, settings: VAEStageSettings, shape: ImageShape) -> None:
        super().__init__()
        self.settings, self.shape = settings, shape
        self.latent = latent_size(settings.model, shape)
        self.normalise = Normalise(shape.channels)
        self.vae = build_vae(settings.model, shape)

    def phases(self, images: UInt8[Tensor, "n c h w"]) -> Sequence[Phase]:
        return (vae_pretraining(self.normalise, self.vae, self.settings.pretrain, self.settings.model, len(images)),)

    def encode(self, images: UInt8[Tensor, "n c h w"]) -> Float[Tensor, "n d"]:
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
        return {"encoder": self.encoder, "decoder": self.decoder}

    @property
    def encoder(self) -> nn.Module:
        return self.vae.encoder

    @property
    def decoder(self) -> nn.Module:
        return self.vae.decoder

    def fresh(self) -> Backbone:
        return VAEBackbone(self.settings, self.shape)


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
        mu, log_variance = (part.to(x.dtype) for part in self.vae.encode(x))
        z = reparameterise(mu, log_variance, noise.normal(mu.shape[1]).to(x.dtype))
        reconstruction = self.nll(self.vae.decode(z).to(x.dtype), x)
        return LatentLosses(mu, {"reconstruction": reconstruction, "kl": gaussian_kl(mu, log_variance)})
