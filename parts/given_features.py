"""Features that a person has, beside the images: a representation that is read and not computed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from jaxtyping import Float, Num
from torch import Tensor

from configs.schema import Settings
from models.autoencoder import ImageShape, ModelError
from models.feature_files import read_features
from models.normalise import Normalise
from parts.image_encoders import ImageEncoder
from parts.phases import Compute, FitPhase, Phase
from parts.seen_images import SeenImages


class FeaturesSettings(Settings):
    """A file with one vector for each training image."""

    file: str = "features.npy"
    """.npy, .npz with `features`, or .parquet: as many rows as there are training images, in their order."""


class GivenFeatures(ImageEncoder):
    """The features in a file, found again by the images' bytes. Other images have none.

    Args:
        settings: that name the file.
        shape: of the images.
    """

    name = "features"
    has_decoder = False

    def __init__(self, settings: FeaturesSettings, shape: ImageShape) -> None:
        super().__init__()
        self.settings = settings
        self.normalise = Normalise(shape.channels)
        self.seen = SeenImages()

    def phases(self, images: Num[Tensor, "n c h w"], compute: Compute) -> Sequence[Phase]:
        """represent-features: the file is read.

        Raises:
            ModelError: when it does not hold a row for each image.
        """
        file, seen = Path(self.settings.file).expanduser(), self.seen
        features = read_features(file)
        if len(features) != len(images):
            raise ModelError(
                f"{file} holds {len(features):,} rows for {len(images):,} training images: it needs a row for each, in "
                "their order. A subset, a validation share, or duplicates that are dropped leave fewer images."
            )

        def fit() -> None:
            seen.remember(images, features)

        return (FitPhase("represent-features", seen, fit, draws=False),)

    def encode(self, images: Num[Tensor, "n c h w"]) -> Float[Tensor, "n d"]:
        size = self.seen.arrays["places"].shape[1]
        found = self.seen.recall(images, torch.full((len(images), size), torch.nan))
        unknown = int(found.isnan().any(dim=1).sum())
        if unknown:
            raise ModelError(
                f"{unknown:,} of {len(images):,} images are none of those that the run was given features of, and "
                "features of other images cannot be computed. Score the images of the run."
            )
        return found.to(images.device)
