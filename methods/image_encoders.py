"""The first stage of a two-stage system: from uint8 images to points."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from einops import rearrange
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from configs.schema import PretrainSettings, Settings
from methods.base import Phase
from methods.pretraining import pretraining
from methods.vae_pretraining import VAEPretrainSettings, vae_pretraining
from models.autoencoder import ImageShape
from models.build import build_autoencoder, build_vae
from models.normalise import Normalise
from models.settings import AutoencoderSettings, ConvSettings

Pixels = Literal["standardised", "unit"]


class AutoencoderStageSettings(Settings):
    """The latent z of an autoencoder that was trained on the reconstruction."""

    pixels: Pixels = "standardised"
    """Standardised by the training images' mean and sd, or from 0 to 1."""
    model: AutoencoderSettings = ConvSettings()
    pretrain: PretrainSettings = PretrainSettings()


class VAEStageSettings(Settings):
    """The mean μ of a variational autoencoder's posterior. Its pixels run from 0 to 1."""

    model: AutoencoderSettings = ConvSettings()
    pretrain: VAEPretrainSettings = VAEPretrainSettings()


class ImageEncoder(nn.Module, ABC):
    """Images to points and, where it can, back."""

    normalise: Normalise
    name: str
    """In the names of methods and spaces: "raw", "ae", "vae"."""

    @abstractmethod
    def phases(self, images: UInt8[Tensor, "n c h w"]) -> Sequence[Phase]:
        """What must be trained first."""

    @abstractmethod
    def encode(self, images: UInt8[Tensor, "n c h w"]) -> Float[Tensor, "n d"]:
        """The points, on the images' device."""

    @abstractmethod
    def decode(self, points: Float[Tensor, "n d"]) -> UInt8[Tensor, "n c h w"]:
        """The images that the points stand for."""

    def networks(self) -> Mapping[str, nn.Module]:
        """What can be drawn layer by layer."""
        return {}

    @property
    def device(self) -> torch.device:
        return self.normalise.mean.device


class RawPixels(ImageEncoder):
    """Pixels from 0 to 1, flattened."""

    name = "raw"

    def __init__(self, shape: ImageShape) -> None:
        super().__init__()
        self.shape = shape
        self.normalise = Normalise(shape.channels)

    def phases(self, images: UInt8[Tensor, "n c h w"]) -> Sequence[Phase]:
        return ()

    def encode(self, images: UInt8[Tensor, "n c h w"]) -> Float[Tensor, "n d"]:
        pixels: Tensor = self.normalise(images)
        return rearrange(pixels, "n c h w -> n (c h w)")

    def decode(self, points: Float[Tensor, "n d"]) -> UInt8[Tensor, "n c h w"]:
        c, h, w = self.shape
        return self.normalise.invert(rearrange(points, "n (c h w) -> n c h w", c=c, h=h, w=w))


class AutoencoderEncoder(ImageEncoder):
    """z of an autoencoder."""

    name = "ae"

    def __init__(self, settings: AutoencoderStageSettings, shape: ImageShape) -> None:
        super().__init__()
        self.settings = settings
        self.normalise = Normalise(shape.channels)
        self.autoencoder = build_autoencoder(settings.model, shape)

    def phases(self, images: UInt8[Tensor, "n c h w"]) -> Sequence[Phase]:
        if self.settings.pixels == "standardised":
            self.normalise.fit(images)
        return (
            pretraining(self.normalise, self.autoencoder, self.settings.pretrain, self.settings.model, len(images)),
        )

    def encode(self, images: UInt8[Tensor, "n c h w"]) -> Float[Tensor, "n d"]:
        return self.autoencoder.encode(self.normalise(images))

    def decode(self, points: Float[Tensor, "n d"]) -> UInt8[Tensor, "n c h w"]:
        return self.normalise.invert(self.autoencoder.decode(points))

    def networks(self) -> Mapping[str, nn.Module]:
        return {"encoder": self.autoencoder.encoder, "decoder": self.autoencoder.decoder}


class VAEEncoder(ImageEncoder):
    """μ of a variational autoencoder; nothing is sampled outside its training."""

    name = "vae"

    def __init__(self, settings: VAEStageSettings, shape: ImageShape) -> None:
        super().__init__()
        self.settings = settings
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

    def networks(self) -> Mapping[str, nn.Module]:
        return {"encoder": self.vae.encoder, "decoder": self.vae.decoder}
