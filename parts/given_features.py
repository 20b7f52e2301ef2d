"""Features that a person has, beside the images: a representation that is read and not computed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from jaxtyping import Float, Num
from torch import Tensor

from configs.schema import Settings
from data.feature_files import FeatureFile, read_features
from models.autoencoder import ImageShape, ModelError
from models.normalise import Normalise
from models.projection import unit_length
from parts.image_encoders import ImageEncoder
from parts.matched_names import rows_by_name
from parts.phases import Compute, FitPhase, Phase
from parts.seen_images import SeenImages


class FeaturesSettings(Settings):
    """A file with one vector for each training image, or several files."""

    file: str = "features.npy"
    """.npy, .npz with `features`, or .parquet. With the images' names (`names` of an .npz file, a column `file` or
    `name`) rows may be in any order and more than the images; without, a row for each training image in their order."""
    beside: tuple[str, ...] = ()
    """More files, of other features of the same images. Then the features of every file are brought to length 1 and
    stand side by side."""

    @property
    def files(self) -> tuple[Path, ...]:
        """All of them."""
        return tuple(Path(file).expanduser() for file in (self.file, *self.beside))


class GivenFeatures(ImageEncoder):
    """The features in a file, found again by the images' bytes. Other images have none.

    Args:
        settings: that name the file.
        shape: of the images.
        sizes: dimensions that the features of every file must have. Empty: any.
    """

    name = "features"
    has_decoder = False

    def __init__(self, settings: FeaturesSettings, shape: ImageShape, sizes: Sequence[int] = ()) -> None:
        super().__init__()
        self.settings, self.sizes = settings, tuple(sizes)
        self.normalise = Normalise(shape.channels)
        self.seen = SeenImages()
        self.names: Sequence[str] | None = None

    def take_names(self, names: Sequence[str]) -> None:
        self.names = names

    def phases(self, images: Num[Tensor, "n c h w"], compute: Compute) -> Sequence[Phase]:
        """represent-features: the files are read.

        Raises:
            DataError: when one cannot be read.
            ModelError: when one does not hold a row for each image, or is not of its size.
        """
        seen = self.seen
        spaces = [self._matched(file, len(images)) for file in self.settings.files]
        found = tuple(space.shape[1] for space in spaces)
        if self.sizes and found != self.sizes:
            raise ModelError(
                f"the files hold features of {list(found)} dimensions, and pretrain.spaces says {list(self.sizes)}: "
                "give the files that the run was begun with, or leave pretrain.spaces out."
            )
        features = spaces[0] if len(spaces) == 1 else torch.cat([unit_length(space) for space in spaces], dim=1)

        def fit() -> None:
            seen.remember(images, features)

        return (FitPhase("represent-features", seen, fit, draws=False),)

    @property
    def pretrained_on(self) -> str:
        """Nobody here knows, so that its rows stand apart from those that have seen the images alone."""
        return "unknown data"

    @property
    def notes(self) -> tuple[str, ...]:
        return (f"features from {', '.join(file.name for file in self.settings.files)}, of unknown origin",)

    def _matched(self, file: Path, count: int) -> Float[Tensor, "n d"]:
        """The features of the images in their order."""
        found: FeatureFile = read_features(file)
        if found.names is not None and self.names is not None:
            return found.features[rows_by_name(list(self.names), found.names, str(file))]
        if len(found.features) != count:
            raise ModelError(
                f"{file} holds {len(found.features):,} rows for {count:,} training images: it needs a row for each, in "
                "their order. A subset, a validation share, or duplicates that are dropped leave fewer images. With "
                "the images' names in the file (`names` of an .npz file, a column `file` of a .parquet file) it may "
                "hold more."
            )
        return found.features

    def encode(self, images: Num[Tensor, "n c h w"]) -> Float[Tensor, "n d"]:
        rows = self.seen.rows(images)
        unknown = int((rows < 0).sum())
        if unknown:
            raise ModelError(
                f"{unknown:,} of {len(images):,} images are none of those that the run was given features of, and "
                "features of other images cannot be computed. Score the images of the run."
            )
        return self.seen.arrays["places"][rows].to(images.device)
