"""Histograms of oriented gradients as a space of their own beside an encoder's feature.

Source of the histograms: Dalal, Triggs, "Histograms of Oriented Gradients for Human Detection", CVPR 2005.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from configs.schema import PositiveInt
from models.autoencoder import ImageShape
from models.batched import map_batches
from models.normalise import Normalise
from models.oriented_gradients import HOGSettings
from parts.backbone import Backbone
from parts.hog_axes import HOGAxes, HOGAxesSettings
from parts.phases import Compute


class GradientsSettings(HOGSettings):
    """A space of gradients."""

    components: PositiveInt = 64
    """Principal axes of the histograms; fewer where the descriptor has fewer numbers."""


class GradientCoordinates(nn.Module):
    """An image's coordinates along the axes, of length 1.

    Args:
        shape: of the images.
        settings: of the histograms and their axes.
        normalise: brings pixels to 0 to 1.
    """

    def __init__(self, shape: ImageShape, settings: GradientsSettings, normalise: Normalise) -> None:
        super().__init__()
        self.axes = HOGAxes(shape, HOGAxesSettings(**settings.model_dump()))
        self.normalise = normalise

    def describe(self, images: UInt8[Tensor, "n c h w"]) -> Float[Tensor, "n p"]:
        """The histograms."""
        found: Tensor = self.axes.describe(self.normalise.unit(images))
        return found

    def forward(self, images: UInt8[Tensor, "n c h w"]) -> Float[Tensor, "n m"]:
        return self.axes.coordinates(self.normalise.unit(images))


@dataclass(frozen=True)
class FeatureAndGradients:
    """Both spaces side by side, (n, d + m), each of length 1.

    Like an `ImageEncoder` it is asked for a batch, for any images, and for the training images, of which the backbone
    may know its feature already.

    Attributes:
        backbone: gives the feature.
        coordinates: the second space.
    """

    backbone: Backbone
    coordinates: GradientCoordinates

    def encode(self, images: UInt8[Tensor, "n c h w"]) -> Float[Tensor, "n e"]:
        """Of a batch, on its device."""
        return torch.cat([self.backbone.encode(images), self.coordinates(images)], dim=1)

    def embed(self, images: UInt8[Tensor, "n c h w"]) -> Float[Tensor, "n e"]:
        """Of any images, on the CPU."""
        beside = map_batches(self.coordinates, images, self.backbone.device)
        return torch.cat([self.backbone.embed(images), beside], dim=1)

    def points(self, images: UInt8[Tensor, "n c h w"], compute: Compute) -> Float[Tensor, "n e"]:
        """Of the training images, on the CPU."""
        return torch.cat([self.backbone.points(images, compute), compute.map(self.coordinates, images)], dim=1)
