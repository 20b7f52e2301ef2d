"""Contrastive training of an encoder: two random views of an image are alike, those of other images are not.

Source: Chen, Kornblith, Norouzi, Hinton, "A Simple Framework for Contrastive Learning of Visual Representations", ICML
2020 (SimCLR).
"""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from jaxtyping import Float
from pydantic import Field, model_validator
from torch import Tensor, nn

from configs.schema import AugmentationSettings, OptimiserSettings, PositiveFloat, PositiveInt, Settings
from data.augmentation import Augmentation
from losses.contrastive import nt_xent
from models.normalise import Normalise
from models.projection import ProjectionHead
from parts.phases import Batch, Compute, GradientPhase, Objective, epochs_needed

CROP_FLIP_LIGHT = AugmentationSettings(crop=0.5, flip=0.5, brightness=0.6, contrast=0.6)
"""Crops, left-right flips, changes of brightness and contrast: what a garment is survives all of these. Digits do not
survive the flip."""


class ContrastivePretrainSettings(Settings):
    """Training of an encoder on pairs of views."""

    objective: Literal["contrastive"] = "contrastive"
    epochs: PositiveInt = 10
    min_steps: Annotated[int, Field(ge=0)] = 1000
    """As many epochs more as a small data set needs to reach this number of steps."""
    batch_size: Annotated[int, Field(ge=2)] = 512
    """Images a step, two views of each."""
    temperature: PositiveFloat = 0.2
    projection: tuple[PositiveInt, ...] = (256, 128)
    """Widths of the layers between the feature and where views are compared."""
    memory: Annotated[int, Field(ge=0)] = 0
    """Earlier views that a view is told apart from as well."""
    augmentation: AugmentationSettings = CROP_FLIP_LIGHT
    optimiser: OptimiserSettings = OptimiserSettings(
        name="adamw", learning_rate=2e-3, weight_decay=1e-4, schedule="one-cycle"
    )

    @model_validator(mode="after")
    def _views_differ(self) -> ContrastivePretrainSettings:
        if self.augmentation == AugmentationSettings():
            raise ValueError("without augmentation both views are the same image: set pretrain.augmentation")
        return self


class ContrastiveObjective(Objective):
    """The cross-entropy of finding an image's other view among all views of the batch.

    Args:
        normalise: pixels.
        encoder: images to features.
        head: features to where views are compared.
        settings: of the phase.
        compute: the machine: the views of all processes are compared.
    """

    def __init__(
        self,
        normalise: Normalise,
        encoder: nn.Module,
        head: ProjectionHead,
        settings: ContrastivePretrainSettings,
        compute: Compute,
    ) -> None:
        super().__init__()
        self.normalise = normalise
        self.encoder = encoder
        self.head = head
        self.augmentation = Augmentation(settings.augmentation)
        self.temperature = settings.temperature
        self.compute = compute

    def forward(self, batch: Batch) -> dict[str, Float[Tensor, ""]]:
        pixels = self.normalise.unit(batch.images)
        views = torch.cat([self.augmentation(pixels, batch.noise) for _ in range(2)])
        # Of one precision with the views of other processes and of the memory; the loss sees to its own.
        projected = self.head(self.encoder(self.normalise.standardise(views))).to(pixels.dtype)
        first, second = (self.compute.together(own) for own in projected.chunk(2))
        loss = nt_xent(first, second, self.temperature, self.head.recall())
        self._views = torch.cat([first, second]).detach()
        processes = len(first) / len(batch.images)
        # The gradient by a process's own views; the mean over processes that follows is to be their sum.
        return {"loss": loss.detach() + processes * (loss - loss.detach())}

    def after_step(self, batch: Batch) -> None:
        self.head.remember(self._views)


def contrastive_pretraining(
    normalise: Normalise,
    encoder: nn.Module,
    head: ProjectionHead,
    settings: ContrastivePretrainSettings,
    images: int,
    compute: Compute,
) -> GradientPhase:
    """The phase that trains `encoder` and `head` on views of so many `images`."""
    return GradientPhase(
        name="pretrain",
        module=ContrastiveObjective(normalise, encoder, head, settings, compute),
        optimiser=settings.optimiser,
        epochs=epochs_needed(images, settings.batch_size, settings.epochs, settings.min_steps),
        batch_size=settings.batch_size,
        validates=False,  # a loss of views against views: held-out images would need batches of their own
    )
