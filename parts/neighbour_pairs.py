"""What heads say of the images of a batch and of their neighbours: with an encoder that is trained, or on a feature."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int64, Num
from torch import Tensor, nn

from configs.schema import AugmentationSettings
from data.augmentation import Augmentation
from data.noise import Noise
from models.cluster_heads import ClusterHeads
from parts.backbone import Backbone
from parts.phases import Batch, Compute
from parts.training_features import TrainingFeatures


class Classifier(nn.Module):
    """Pixels to log p of every cluster by every head.

    Args:
        backbone: its encoder gives the feature, and says how pixels are standardised.
        heads: r of them.
    """

    def __init__(self, backbone: Backbone, heads: ClusterHeads) -> None:
        super().__init__()
        self.normalise = backbone.normalise
        self.branch = backbone.branch(False)
        self.heads = heads

    def forward(self, pixels: Float[Tensor, "n c h w"], noise: Noise) -> Float[Tensor, "r n k"]:
        """log p; `pixels` run from 0 to 1."""
        z, _ = self.branch(self.normalise.standardise(pixels), noise)
        log_p: Tensor = self.heads(z)
        return log_p


class AugmentedPairs(nn.Module):
    """log p of images and then of their neighbours, all strongly augmented.

    Args:
        classifier: trained, encoder and all heads.
        images: the training images.
        augmentation: of both.
        compute: the machine.
    """

    def __init__(
        self,
        classifier: Classifier,
        images: Num[Tensor, "n c h w"],
        augmentation: AugmentationSettings,
        compute: Compute,
    ) -> None:
        super().__init__()
        self.classifier, self.images, self.compute = classifier, images, compute
        self.augmentation = Augmentation(augmentation)

    def forward(self, batch: Batch, partners: Int64[Tensor, " b"]) -> Float[Tensor, "r m k"]:
        neighbours = self.compute.pick(self.images, partners)
        views = [
            self.augmentation(self.classifier.normalise.unit(images), batch.noise)
            for images in (batch.images, neighbours)
        ]
        log_p: Tensor = self.classifier(torch.cat(views), batch.noise)
        return log_p


class RestingPairs(nn.Module):
    """log p of images and then of their neighbours by heads on a feature that rests.

    Args:
        heads: trained.
        features: of the training images.
    """

    def __init__(self, heads: ClusterHeads, features: TrainingFeatures) -> None:
        super().__init__()
        self.heads, self.features = heads, features

    def forward(self, batch: Batch, partners: Int64[Tensor, " b"]) -> Float[Tensor, "r m k"]:
        log_p: Tensor = self.heads(self.features(partners.device)[torch.cat([batch.indices, partners])])
        return log_p
