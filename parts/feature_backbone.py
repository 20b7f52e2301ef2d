"""Features that a person has, beside the images: what joint methods stand on whose encoder rests."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import torch
from jaxtyping import Float, Num
from torch import Tensor

from configs.schema import PositiveInt
from data.feature_files import feature_facts
from data.image_set import DataError
from models.autoencoder import ImageShape, ModelError
from models.projection import unit_length
from parts.backbone import RestingBackbone
from parts.given_features import FeaturesSettings, GivenFeatures
from parts.phases import Compute, Phase


class FeaturesPretrainSettings(FeaturesSettings):
    """In place of a pretraining: features from a file, or from several."""

    objective: Literal["features"] = "features"
    spaces: tuple[PositiveInt, ...] = ()
    """Dimensions of every file. Empty: they are found when the run begins, and its checkpoint holds them."""

    @property
    def completed(self) -> FeaturesPretrainSettings:
        """With the dimensions of every file, where the files can be read."""
        if self.spaces:
            return self
        try:
            return self.model_copy(update={"spaces": dimensions(self.files)})
        except DataError:
            return self  # said when the method is built


def dimensions(files: Sequence[Path]) -> tuple[int, ...]:
    """Of the features in every file.

    Raises:
        DataError: when one cannot be read.
    """
    return tuple(feature_facts(file).dimensions for file in files)


class FeatureBackbone(RestingBackbone):
    """The features of a file, of length 1; those of several files stand side by side, each of length 1.

    Args:
        settings: that name the files, which are read here if it does not say their dimensions.
        shape: of the images.

    Raises:
        DataError: when a file cannot be read.
        ModelError: when one does not have the dimensions that are said.
    """

    name = "features"
    refusal = (
        "this method trains its encoder on, and features from a file have none: take temi, turtle, pace, scan, "
        "deepdpm or a method such as features-kmeans, or another pretrain.objective."
    )
    without_encoder = "features from a file have no encoder."

    def __init__(self, settings: FeaturesPretrainSettings, shape: ImageShape) -> None:
        self._sizes = settings.spaces or dimensions(settings.files)
        if len(self._sizes) != len(settings.files):
            raise ModelError(
                f"pretrain.spaces are {list(self._sizes)} for {len(settings.files)} files: leave them out, and they "
                "are found."
            )
        super().__init__(shape, sum(self._sizes))
        self.given = GivenFeatures(settings, shape, self._sizes)

    @property
    def spaces(self) -> tuple[int, ...]:
        return self._sizes

    def take_names(self, names: Sequence[str]) -> None:
        self.given.take_names(names)

    def phases(self, images: Num[Tensor, "n c h w"], compute: Compute) -> Sequence[Phase]:
        """represent-features: the files are read."""
        return self.given.phases(images, compute)

    def encode(self, images: Num[Tensor, "n c h w"]) -> Float[Tensor, "n d"]:
        found = self.given.encode(images)
        return torch.cat([unit_length(part) for part in torch.split(found, list(self._sizes), dim=1)], dim=1)

    @property
    def beyond_its_network(self) -> str:
        return "features from a file, which no network here computes: write the network that they came from"

    @property
    def pretrained_on(self) -> str:
        return self.given.pretrained_on

    @property
    def notes(self) -> tuple[str, ...]:
        return self.given.notes
