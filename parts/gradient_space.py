"""Histograms of oriented gradients as a space of their own beside an encoder's feature.

Source of the histograms: Dalal, Triggs, "Histograms of Oriented Gradients for Human Detection", CVPR 2005.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from torch.nn.functional import normalize

from configs.schema import PositiveInt
from losses.precision import in_full_precision
from models.autoencoder import ImageShape
from models.normalise import Normalise
from models.oriented_gradients import HOGSettings
from parts.backbone import Backbone
from parts.hog_axes import HOGAxes, HOGAxesSettings
from parts.phases import Compute
from parts.training_features import BackboneFeatures


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
        return along(self.axes, self.describe(images))


@in_full_precision
def along(axes: HOGAxes, descriptors: Float[Tensor, "n p"]) -> Float[Tensor, "n m"]:
    """The coordinates of descriptors along the axes, of length 1."""
    return normalize((descriptors - axes.mean) @ axes.components.T, dim=1)


class FeaturesAndGradients(BackboneFeatures):
    """Both spaces of all training images side by side, each of length 1.

    Args:
        backbone: gives the feature, which it may know already.
        coordinates: the second space.
        images: the training images.
        compute: the machine.
    """

    def __init__(
        self,
        backbone: Backbone,
        coordinates: GradientCoordinates,
        images: UInt8[Tensor, "n c h w"],
        compute: Compute,
    ) -> None:
        super().__init__(backbone, images, compute)
        self.coordinates = coordinates

    def _computed(self) -> Float[Tensor, "n d"]:
        return torch.cat([super()._computed(), self.compute.map(self.coordinates, self.images)], dim=1)
