"""Points that are their own feature: what methods stand on where somebody has computed the features already."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from jaxtyping import Float, Num
from torch import Tensor

from configs.schema import PositiveInt, Settings
from models.autoencoder import ImageShape, ModelError
from models.projection import unit_length
from parts.backbone import RestingBackbone
from parts.phases import Compute, Phase


class GivenPretrainSettings(Settings):
    """In place of a pretraining: the data are points, and their numbers the feature."""

    objective: Literal["given"] = "given"
    scaling: Literal["length", "sd"] = "length"
    """length: every point is brought to length 1, so that its direction counts, as with features of networks. sd: the
    mean is taken away, and one number divides all points, so that they have length 1 in the root mean square."""
    spaces: tuple[PositiveInt, ...] = ()
    """Sizes of several spaces whose numbers stand side by side in a point, such as [384, 2048]. By length each is
    scaled for itself. Empty: all numbers are of one."""


class GivenPoints(RestingBackbone):
    """The numbers of a point, scaled.

    Args:
        settings: of the scaling.
        shape: of the points.

    Raises:
        ModelError: when the data are images, or the spaces are of another size.
    """

    name = "points"
    refusal = (
        "this method trains its encoder on, and points that are their own feature have none: set "
        "pretrain.objective=reconstruction, or take temi, turtle, pace, scan, deepdpm or a method such as "
        "raw-kmeans."
    )
    without_encoder = "points that are their own feature have no encoder."

    def __init__(self, settings: GivenPretrainSettings, shape: ImageShape) -> None:
        if not shape.is_point:
            raise ModelError(
                "pretrain.objective given takes points as data, such as `features` of a file, and the data are images: "
                "set pretrain.objective to frozen or contrastive."
            )
        super().__init__(shape, shape.channels)
        if settings.spaces and sum(settings.spaces) != self.latent:
            raise ModelError(
                f"pretrain.spaces are {list(settings.spaces)}, {sum(settings.spaces):,} numbers in all, and a point "
                f"has {self.latent:,}."
            )
        self.settings, self.lengths_count = settings, settings.scaling == "sd"

    def phases(self, images: Num[Tensor, "n c h w"], compute: Compute) -> Sequence[Phase]:
        """None. The scale is that of the training points."""
        if self.settings.scaling == "sd":
            self.normalise.fit(images)
        return ()

    @property
    def spaces(self) -> tuple[int, ...]:
        return self.settings.spaces or (self.latent,)

    def encode(self, images: Num[Tensor, "n c h w"]) -> Float[Tensor, "n d"]:
        points: Tensor = self.normalise(images).flatten(1)
        if self.settings.scaling == "sd":
            scaled: Tensor = points * self.latent**-0.5
            return scaled
        return torch.cat([unit_length(part) for part in torch.split(points, list(self.spaces), dim=1)], dim=1)
