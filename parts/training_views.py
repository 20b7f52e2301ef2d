"""Which views of a batch a clustering phase is trained on: its images, augmented ones, or both.

Sources: Guo, Zhu, Liu, Yin, "Deep Embedded Clustering with Data Augmentation", ACML 2018 (augmented images alone);
Miklautz et al., "Breaking the Reclustering Barrier in Centroid-based Deep Clustering", ICLR 2025 (both).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from pydantic import model_validator
from torch import Tensor, nn

from configs.schema import AugmentationSettings
from data.augmentation import Augmentation
from models.normalise import Normalise
from parts.phases import Batch
from parts.reset import CentroidPhaseSettings


class AugmentedPhaseSettings(CentroidPhaseSettings):
    """A clustering phase that may augment the images that it trains on."""

    augmentation: AugmentationSettings = AugmentationSettings()
    """Of the images that the network is trained on; targets, clusters and centroids are those of the clean ones."""
    clean_beside: bool = False
    """Train on the clean images as well: the loss is the mean of theirs and the augmented images'."""

    @property
    def augments(self) -> bool:
        """Whether any augmentation is on."""
        return self.augmentation != AugmentationSettings()

    @model_validator(mode="after")
    def _clean_is_beside_something(self) -> AugmentedPhaseSettings:
        if self.clean_beside and not self.augments:
            raise ValueError("clean_beside: true has no augmented images to stand beside; set augmentation as well")
        return self


class TrainingViews(nn.Module):
    """The standardised pixels of a batch, as the network is trained on them.

    Args:
        normalise: of pixels.
        settings: which views there are.
    """

    def __init__(self, normalise: Normalise, settings: AugmentedPhaseSettings) -> None:
        super().__init__()
        self.normalise = normalise
        self.augmentation = Augmentation(settings.augmentation)
        self.clean_beside = settings.clean_beside

    def mean_losses(
        self, losses: Callable[[Float[Tensor, "b c h w"]], dict[str, Float[Tensor, ""]]], batch: Batch
    ) -> dict[str, Float[Tensor, ""]]:
        """`losses` of the batch's view, or the mean of each over both views.

        Args:
            losses: standardised pixels to losses by name.
            batch: images and their random numbers.
        """
        unit = self.normalise.unit(batch.images)
        views = [self.augmentation(unit, batch.noise)]
        if self.clean_beside:
            views.append(unit)
        by_view = [losses(self.normalise.standardise(view)) for view in views]
        return {name: torch.stack([found[name] for found in by_view]).mean(dim=0) for name in by_view[0]}
