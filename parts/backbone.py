"""What joint methods stand on: a network from images to latents."""

from __future__ import annotations

from abc import abstractmethod
from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor, nn

from data.noise import Noise
from models.autoencoder import ImageShape, ModelError
from models.normalise import Normalise
from models.settings import Init
from parts.image_encoders import ImageEncoder


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
    """A network from images to a latent and, where it has a decoder, back.

    Attributes:
        latent: d.
        space: what tables call the space of its latents.
        averaged: so many pixels of an image its own loss is the mean over; 1 where it is their sum or has none.
        rests: whether it is trained by nobody here: what stands on it is trained alone.
        lengths_count: whether a latent says something by its length, which is 1 in the root mean square then.
    """

    space = "latent"
    averaged: int
    rests = False
    lengths_count = False

    def __init__(self, shape: ImageShape, latent: int) -> None:
        super().__init__()
        self.shape, self.latent = shape, latent
        self.normalise = Normalise(shape.channels)

    @property
    def beyond_its_network(self) -> str | None:
        """What its latents take beside its own network, and what to do about it, for people; None for nothing."""
        return None

    @property
    def spaces(self) -> tuple[int, ...]:
        """The sizes of the spaces that the latent is made of, side by side; d in all."""
        return (self.latent,)

    @abstractmethod
    def branch(self, keep: bool) -> Branch:
        """What is trained beside a clustering loss: with `keep` the decoder and the network's own losses as well."""

    @property
    @abstractmethod
    def encoder(self) -> nn.Module:
        """The part from pixels to the latent."""

    def fresh(self, init: Init) -> Backbone:
        """Another one with new weights of this kind from torch's generator, where it is trained here."""
        raise ModelError(f"the backbone {self.name} is not trained here, and has no new weights.")


class RestingBackbone(Backbone):
    """One that nobody trains here: methods whose clusters are trained alone stand on it.

    Attributes:
        refusal: what a method that trains its encoder on is told.
        without_encoder: what is said where an encoder is asked for.
    """

    has_decoder = False
    averaged = 1
    rests = True
    refusal: str
    without_encoder: str

    def branch(self, keep: bool) -> Branch:
        raise ModelError(self.refusal)

    @property
    def encoder(self) -> nn.Module:
        raise ModelError(self.without_encoder)
