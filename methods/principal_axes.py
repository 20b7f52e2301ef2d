"""Descriptors of an image that need no training, beside what an encoder makes of it, along their principal axes."""

from __future__ import annotations

from typing import Annotated

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import normalize

from configs.schema import PositiveFloat, Settings
from models.oriented_gradients import HOGSettings
from representations.pca import PCA
from representations.settings import PCASettings


class PrincipalAxesSettings(Settings):
    """What of a descriptor stands beside the encoder's feature, which has length 1."""

    components: Annotated[int, Field(ge=0)] = 64
    """Principal axes; 0 for none. Fewer where the descriptor has fewer numbers."""
    weight: PositiveFloat = 1.0
    """The length of the coordinates along them."""


class HOGAxesSettings(PrincipalAxesSettings, HOGSettings):
    """Histograms of oriented gradients along their principal axes."""


class PrincipalAxes(nn.Module):
    """Coordinates of a descriptor along its leading principal axes, brought to one length.

    An encoder that has learned to ignore what views of an image differ in has lost detail that tells alike images
    apart; in the pixels and their gradients it is still there.

    Args:
        describe: pixels from 0 to 1, (n, c, h, w), to the descriptor, (n, p).
        size: p.
        settings: m, at most p, and the length.
    """

    mean: Tensor
    components: Tensor

    def __init__(self, describe: nn.Module, size: int, settings: PrincipalAxesSettings) -> None:
        super().__init__()
        self.describe = describe
        self.weight = settings.weight
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

    def forward(self, pixels: Float[Tensor, "n c h w"]) -> Float[Tensor, "n m"]:
        """(n, m), rows of length `weight`, of pixels from 0 to 1."""
        return self.weight * normalize((self.describe(pixels) - self.mean) @ self.components.T, dim=1)


class SideBySide(nn.Module):
    """An encoder's feature and descriptors of the pixels as one vector of length 1.

    Args:
        axes: of the descriptors; those without any are left out.
    """

    def __init__(self, *axes: PrincipalAxes) -> None:
        super().__init__()
        self.parts = nn.ModuleList(part for part in axes if part.size)

    @property
    def axes(self) -> list[PrincipalAxes]:
        """Of every descriptor that takes part."""
        return [part for part in self.parts if isinstance(part, PrincipalAxes)]

    @property
    def size(self) -> int:
        """m, of all descriptors together."""
        return sum(part.size for part in self.axes)

    def forward(self, z: Float[Tensor, "n d"], pixels: Float[Tensor, "n c h w"]) -> Float[Tensor, "n e"]:
        """(n, d + m), of features of length 1 and the pixels, from 0 to 1, that they were made from."""
        return normalize(torch.cat([z, *(part(pixels) for part in self.axes)], dim=1), dim=1)
