"""The principal coordinates of an image's histograms of oriented gradients, beside what an encoder makes of it.

Source of the histograms: Dalal, Triggs, "Histograms of Oriented Gradients for Human Detection", CVPR 2005.
"""

from __future__ import annotations

from typing import Annotated

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import normalize

from configs.schema import PositiveFloat
from estimators.pca import PCA
from estimators.settings import PCASettings
from losses.precision import in_full_precision
from models.autoencoder import ImageShape
from models.oriented_gradients import HOGSettings, OrientedGradients


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
