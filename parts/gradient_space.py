"""Histograms of oriented gradients beside an encoder's feature: as a space of their own, or joined with it.

Source of the histograms: Dalal, Triggs, "Histograms of Oriented Gradients for Human Detection", CVPR 2005.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from configs.schema import PositiveInt
from models.batched import map_batches
from models.normalise import Normalise
from models.oriented_gradients import HOGSettings
from parts.backbone import Backbone
from parts.hog_axes import HOGAxes
from parts.phases import Compute


class GradientsSettings(HOGSettings):
    """A space of gradients."""

    components: PositiveInt = 64
    """Principal axes of the histograms; fewer where the descriptor has fewer numbers."""


class GradientCoordinates(nn.Module):
    """An image's coordinates along the axes, of length 1.

    Args:
        axes: of the histograms.
        normalise: brings pixels to 0 to 1.
    """

    def __init__(self, axes: HOGAxes, normalise: Normalise) -> None:
        super().__init__()
        self.axes = axes
        self.normalise = normalise

    def describe(self, images: UInt8[Tensor, "n c h w"]) -> Float[Tensor, "n p"]:
        """The histograms."""
        found: Tensor = self.axes.describe(self.normalise.unit(images))
        return found

    def forward(self, images: UInt8[Tensor, "n c h w"]) -> Float[Tensor, "n m"]:
        return self.axes.coordinates(self.normalise.unit(images))


def side_by_side(z: Float[Tensor, "n d"], coordinates: Float[Tensor, "n m"]) -> Float[Tensor, "n e"]:
    """Two spaces, each of length 1 as it was, (n, d + m)."""
    return torch.cat([z, coordinates], dim=1)


@dataclass(frozen=True)
class FeatureAndGradients:
    """An encoder's feature and the gradients' coordinates of the same images, (n, d + m).

    Like an `ImageEncoder` it is asked for a batch, for any images, and for the training images, of which the backbone
    may know its feature already.

    Attributes:
        backbone: gives the feature.
        coordinates: along the axes.
        join: makes one vector of both: `side_by_side`, or `HOGAxes.joined`.
    """

    backbone: Backbone
    coordinates: GradientCoordinates
    join: Callable[[Tensor, Tensor], Tensor]

    def encode(self, images: UInt8[Tensor, "n c h w"]) -> Float[Tensor, "n e"]:
        """Of a batch, on its device."""
        return self.join(self.backbone.encode(images), self.coordinates(images))

    def embed(self, images: UInt8[Tensor, "n c h w"]) -> Float[Tensor, "n e"]:
        """Of any images, on the CPU."""
        beside = map_batches(self.coordinates, images, self.backbone.device)
        return self.join(self.backbone.embed(images), beside)

    def points(self, images: UInt8[Tensor, "n c h w"], compute: Compute) -> Float[Tensor, "n e"]:
        """Of the training images, on the CPU."""
        return self.join(self.backbone.points(images, compute), compute.map(self.coordinates, images))
