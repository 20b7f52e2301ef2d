"""Self-labelling: an encoder and its head together, on the head's own sharpened answers.

Source: the third step of Van Gansbeke et al., "SCAN", ECCV 2020, with the target distribution of Xie, Girshick,
Farhadi, ICML 2016 (DEC) over the whole training set, predicted for augmented images as in Guo et al., ACML 2018.
"""

from __future__ import annotations

from typing import Annotated, Protocol

import torch
from jaxtyping import Float, Int64
from pydantic import Field
from torch import Tensor

from configs.schema import AugmentationSettings, PositiveInt, Share
from data.augmentation import Augmentation
from losses.dec import clustering_kl
from models.cluster_heads import ClusterHeads
from models.normalise import Normalise
from parts.backbone import Branch
from parts.contrastive_pretraining import CROP_FLIP_LIGHT
from parts.hog_axes import HOGAxes
from parts.joint_training import ClusteringPhaseSettings
from parts.phases import Batch, Compute, Objective


class SelfLabelSettings(ClusteringPhaseSettings):
    """Encoder and head together, on the head's own sharpened answers."""

    confidence: Share = 0.0
    """Images count whose target distribution gives a cluster at least this much: confident ones first, others as they
    become so. 0: all."""
    augmentation: AugmentationSettings = CROP_FLIP_LIGHT
    update_interval: PositiveInt = 117
    tol: Share = 0.001
    max_epochs: PositiveInt = 3
    min_steps: Annotated[int, Field(ge=0)] = 100
    batch_size: PositiveInt = 512


class HeldTarget(Protocol):
    """The target distribution p of the training images."""

    def rows(self, indices: Int64[Tensor, " b"]) -> Float[Tensor, "b k"]:
        """p of the images at `indices`."""
        ...


class SelfLabelObjective(Objective):
    """KL(p ‖ q) of the clean images' target p and the augmented images' probabilities q, over confident images."""

    def __init__(
        self,
        normalise: Normalise,
        branch: Branch,
        axes: HOGAxes,
        head: ClusterHeads,
        target: HeldTarget,
        settings: SelfLabelSettings,
        compute: Compute,
    ) -> None:
        super().__init__()
        self.normalise = normalise
        self.branch = branch
        self.axes = axes
        self.head = head
        self.target = target
        self.augmentation = Augmentation(settings.augmentation)
        self.confidence = settings.confidence
        self.compute = compute

    def forward(self, batch: Batch) -> dict[str, Float[Tensor, ""]]:
        pixels = self.augmentation(self.normalise.unit(batch.images), batch.noise)
        z, _ = self.branch(self.normalise.standardise(pixels), batch.noise)
        log_q = self.head(self.axes(z, pixels))[0]
        p = self.target.rows(batch.indices)
        confident = (p.amax(dim=1) >= self.confidence).float()  # (b,)
        # A row of zeros adds nothing to the sum, which is then brought from a mean over all to one over the others: of
        # the whole batch, since one process may have none of them.
        share = self.compute.pooled(confident.mean())
        loss = clustering_kl(p * confident.unsqueeze(1), log_q) / share.clamp_min(torch.finfo(share.dtype).tiny)
        return {"loss": loss, "confident": share}
