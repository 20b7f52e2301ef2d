"""The principal coordinates of an image's pixels, beside what an encoder makes of it."""

from __future__ import annotations

from typing import Annotated

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import normalize

from configs.schema import PositiveFloat, Settings
from representations.pca import PCA
from representations.settings import PCASettings


class PixelAxesSettings(Settings):
    """What of the pixels stands beside the encoder's feature, which has length 1."""

    components: Annotated[int, Field(ge=0)] = 64
    """Principal axes; 0 for none. Fewer where images have fewer pixels."""
    weight: PositiveFloat = 0.6
    """The length of the coordinates along them."""


class PixelAxes(nn.Module):
    """Coordinates of the pixels along their leading principal axes, brought to one length.

    An encoder that has learned to ignore what views of an image differ in has lost detail that tells alike images
    apart; here it is still there.

    Args:
        pixels: p = c·h·w of an image.
        settings: m, at most p, and their length.
    """

    mean: Tensor
    components: Tensor

    def __init__(self, pixels: int, settings: PixelAxesSettings) -> None:
        super().__init__()
        self.weight = settings.weight
        self.register_buffer("mean", torch.zeros(pixels))
        self.register_buffer("components", torch.zeros(min(settings.components, pixels), pixels))

    @property
    def size(self) -> int:
        """m."""
        return len(self.components)

    def fit(self, x: Float[Tensor, "n p"]) -> dict[str, Tensor]:
        """The mean and the axes of these pixels, for `place`."""
        if not self.size:
            return {}
        pca = PCA(PCASettings(components=min(self.size, len(x))))
        pca.fit(x, 0)
        return {name: pca.arrays[name].to(self.mean) for name in ("mean", "components")}

    def place(self, arrays: dict[str, Tensor]) -> None:
        """Take what `fit` found. Fewer images than axes leave the last axes empty."""
        if arrays:
            self.mean.copy_(arrays["mean"])
            self.components.zero_()
            self.components[: len(arrays["components"])] = arrays["components"]

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n m"]:
        """(n, m), rows of length `weight`."""
        return self.weight * normalize((x.flatten(1) - self.mean) @ self.components.T, dim=1)


def side_by_side(z: Float[Tensor, "n d"], coordinates: Float[Tensor, "n m"]) -> Float[Tensor, "n e"]:
    """An encoder's feature and coordinates of the pixels as one vector of length 1, (n, d + m)."""
    return normalize(torch.cat([z, coordinates], dim=1), dim=1)
