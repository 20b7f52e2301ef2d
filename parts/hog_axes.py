"""The principal coordinates of an image's histograms of oriented gradients, beside what an encoder makes of it.

Source of the histograms: Dalal, Triggs, "Histograms of Oriented Gradients for Human Detection", CVPR 2005.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import torch
from jaxtyping import Float, Num
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import normalize

from configs.schema import PositiveFloat
from estimators.pca import PCA
from estimators.settings import PCASettings
from losses.precision import in_full_precision
from models.autoencoder import ImageShape
from models.batched import map_batches
from models.oriented_gradients import HOGSettings, OrientedGradients
from parts.backbone import Backbone
from parts.phases import Compute


class HOGAxesSettings(HOGSettings):
    """What of the gradients stands beside the encoder's feature, which has length 1."""

    components: Annotated[int, Field(ge=0)] = 64
    """Principal axes; 0 for none. Fewer where the descriptor has fewer numbers."""
    weight: PositiveFloat = 1.5
    """The length of the coordinates along them."""


class HOGAxes(nn.Module):
    """Coordinates of the descriptor along its leading principal axes, brought to one length.

    An encoder that has learned to ignore what views of an image differ in has lost detail that tells alike images
    apart; in the gradients it is still there.

    Args:
        shape: of the images.
        settings: of the descriptor of p numbers, and m, at most p, axes.
    """

    mean: Tensor
    components: Tensor

    def __init__(self, shape: ImageShape, settings: HOGAxesSettings) -> None:
        super().__init__()
        self.weight = settings.weight
        size = 0
        self.describe: nn.Module = nn.Identity()
        if settings.components or not shape.is_point:  # which have no gradients
            self.describe = gradients = OrientedGradients(shape, settings)
            size = gradients.size
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("components", torch.zeros(min(settings.components, size), size))

    @property
    def size(self) -> int:
        """m."""
        return len(self.components)

    def fit(self, descriptors: Float[Tensor, "n p"]) -> dict[str, Tensor]:
        """Their mean and axes, for `place`."""
        pca = PCA(PCASettings(components=min(self.size, *descriptors.shape)))
        pca.fit(descriptors, 0)
        return {name: pca.arrays[name].to(self.mean) for name in ("mean", "components")}

    def place(self, arrays: dict[str, Tensor]) -> None:
        """Take what `fit` found. Fewer images than axes leave the last axes empty."""
        self.mean.copy_(arrays["mean"])
        self.components.zero_()
        self.components[: len(arrays["components"])] = arrays["components"]

    @in_full_precision
    def forward(self, z: Float[Tensor, "n d"], pixels: Float[Tensor, "n c h w"]) -> Float[Tensor, "n e"]:
        """An encoder's feature and the coordinates of the same images as one vector of length 1, (n, d + m).

        Args:
            z: features of length 1.
            pixels: from 0 to 1.
        """
        return self.joined(z, self.coordinates(pixels)) if self.size else z

    @in_full_precision
    def coordinates(self, pixels: Float[Tensor, "n c h w"]) -> Float[Tensor, "n m"]:
        """Those of images along the axes, of length 1; `pixels` run from 0 to 1."""
        return normalize((self.describe(pixels) - self.mean) @ self.components.T, dim=1)

    @in_full_precision
    def joined(self, z: Float[Tensor, "n d"], coordinates: Float[Tensor, "n m"]) -> Float[Tensor, "n e"]:
        """Both as one vector of length 1, (n, d + m)."""
        return normalize(torch.cat([z, self.weight * coordinates], dim=1), dim=1)


@dataclass(frozen=True)
class JoinedFeature:
    """What heads see of images: the encoder's feature and the gradients' coordinates, (n, d + m), of length 1 together.

    Like an `ImageEncoder` it is asked for a batch, for any images, and for the training images, of which the backbone
    may know its feature already.

    Attributes:
        backbone: gives the feature.
        axes: give the coordinates; without any the feature is all.
    """

    backbone: Backbone
    axes: HOGAxes

    def encode(self, images: Num[Tensor, "n c h w"]) -> Float[Tensor, "n e"]:
        """Of a batch, on its device."""
        z: Tensor = self.axes(self.backbone.encode(images), self.backbone.normalise.unit(images))
        return z

    def embed(self, images: Num[Tensor, "n c h w"]) -> Float[Tensor, "n e"]:
        """Of any images, on the CPU."""
        z = self.backbone.embed(images)
        if not self.axes.size:
            return z
        return self.axes.joined(z, map_batches(self.coordinates, images, self.backbone.device))

    def points(self, images: Num[Tensor, "n c h w"], compute: Compute) -> Float[Tensor, "n e"]:
        """Of the training images, on the CPU."""
        z = self.backbone.points(images, compute)
        return self.axes.joined(z, compute.map(self.coordinates, images)) if self.axes.size else z

    def describe(self, images: Num[Tensor, "n c h w"]) -> Float[Tensor, "n p"]:
        """The histograms, whose axes are to be found."""
        found: Tensor = self.axes.describe(self.backbone.normalise.unit(images))
        return found

    def coordinates(self, images: Num[Tensor, "n c h w"]) -> Float[Tensor, "n m"]:
        """Those along the axes, of length 1."""
        return self.axes.coordinates(self.backbone.normalise.unit(images))
