"""What the joint methods have in common: a pretrained backbone whose latents are clustered while it is trained on."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

import torch
from jaxtyping import Float, Num, UInt8
from pydantic import model_validator
from torch import Tensor, nn

from configs.schema import PretrainSettings, RunConfig
from methods.base import Assignments, CentroidMethod
from models.autoencoder import ImageShape
from models.batched import map_batches
from models.settings import AutoencoderSettings, ConvSettings, dense_in_place_of
from parts.backbone import Backbone
from parts.backbones import (
    AutoencoderBackbone,
    AutoencoderStageSettings,
    ContrastiveBackbone,
    ContrastiveStageSettings,
    Pixels,
    VAEBackbone,
    VAEStageSettings,
)
from parts.contrastive_pretraining import ContrastivePretrainSettings
from parts.feature_backbone import FeatureBackbone, FeaturesPretrainSettings
from parts.frozen_backbone import frozen_backbone
from parts.given_points import GivenPoints
from parts.initialisation import Centroids
from parts.joint_training import JointTraining
from parts.phases import Compute, Phase
from parts.pretraining_settings import PretrainingSettings, objective_of
from parts.seen_images import SeenImages
from parts.vae_pretraining import VAEPretrainSettings


class JointConfig(RunConfig):
    """The backbone and its pretraining; methods add the sections `initialise` and `cluster`."""

    pixels: Pixels = "standardised"
    """Standardised by the training images' mean and sd, or from 0 to 1 as in most papers. An error of 1 in
    standardised pixels is one of the pixels' variance in the other: weights beside it count accordingly."""
    model: AutoencoderSettings = ConvSettings()
    pretrain: PretrainingSettings = PretrainSettings()

    @model_validator(mode="after")
    def _pixels_suit_the_network(self) -> JointConfig:
        if self.pretrain.objective == "elbo" and self.pixels != "unit":
            raise ValueError("pretrain.objective elbo trains a VAE, whose pixels run from 0 to 1: set pixels: unit")
        return self

    @property
    def completed(self) -> Self:
        """With the dimensions of the features in a person's files, so that a checkpoint is opened without them."""
        if not isinstance(self.pretrain, FeaturesPretrainSettings):
            return self
        return self.model_copy(update={"pretrain": self.pretrain.completed})

    @property
    def for_points(self) -> dict[str, Any]:
        """A dense network; and where views of pictures trained it, none."""
        if self.pretrain.objective == "contrastive":
            return {"pretrain": {"objective": "given"}}
        found: dict[str, Any] = {}
        if self.model.name != "dense":
            found["model"] = dense_in_place_of(self.model)
        if self.pretrain.objective == "elbo":
            found["pretrain.likelihood"] = "gaussian"
        return found


class OpenJointConfig(JointConfig):
    """Config of a method that finds the number of clusters while it trains. `clusters` is not used."""

    @property
    def finds_clusters(self) -> bool:
        return True

    @property
    def different_images_needed(self) -> int:
        return 1


def _autoencoder(config: JointConfig, pretrain: PretrainSettings, shape: ImageShape) -> Backbone:
    stage = AutoencoderStageSettings(pixels=config.pixels, model=config.model, pretrain=pretrain)
    return AutoencoderBackbone(stage, shape)


def _vae(config: JointConfig, pretrain: VAEPretrainSettings, shape: ImageShape) -> Backbone:
    return VAEBackbone(VAEStageSettings(model=config.model, pretrain=pretrain), shape)


def _contrastive(config: JointConfig, pretrain: ContrastivePretrainSettings, shape: ImageShape) -> Backbone:
    stage = ContrastiveStageSettings(pixels=config.pixels, model=config.model, pretrain=pretrain)
    return ContrastiveBackbone(stage, shape)


BACKBONES: dict[str, Callable[[JointConfig, Any, ImageShape], Backbone]] = {
    "reconstruction": _autoencoder,
    "elbo": _vae,
    "contrastive": _contrastive,
    "frozen": lambda _, pretrain, shape: frozen_backbone(pretrain, shape),
    "features": lambda _, pretrain, shape: FeatureBackbone(pretrain, shape),
    "given": lambda _, pretrain, shape: GivenPoints(pretrain, shape),
}
"""By `pretrain.objective`, what builds the network that a config describes."""


def build_backbone(config: JointConfig, shape: ImageShape) -> Backbone:
    """The network that `config` describes, with weights from torch's generator.

    Raises:
        ModelError: when the network does not fit the images.
    """
    return BACKBONES[objective_of(config.pretrain)](config, config.pretrain, shape)


class JointMethod(nn.Module, ABC):
    """A backbone, and clusters of its latents. What remains to be said of a method is how it trains and assigns.

    Args:
        config: of the run.
        shape: of the images.

    Raises:
        ModelError: when the network does not fit the images.
    """

    def __init__(self, config: JointConfig, shape: ImageShape) -> None:
        super().__init__()
        self.run = config
        self.backbone = build_backbone(config, shape)

    @abstractmethod
    def phases(self, images: Num[Tensor, "n c h w"], compute: Compute) -> Sequence[Phase]:
        """The phases in the order in which they run."""

    @abstractmethod
    def assign_embedded(self, z: Float[Tensor, "n d"]) -> Assignments:
        """The clusters of latents, on the CPU."""

    def joint_training(self, images: Num[Tensor, "n c h w"], compute: Compute) -> JointTraining:
        """What makes this method's phases on `images`."""
        return JointTraining(self.backbone, images, compute, self.run.clusters, self.run.seed)

    def criteria(self, z: Float[Tensor, "n d"]) -> dict[str, float]:
        """What the method's own criterion says of latents, where tables have a column for it."""
        return {}

    def assign(self, images: Num[Tensor, "n c h w"]) -> Assignments:
        """The clusters of images, from the latents without noise."""
        return self.assign_embedded(self.embed(images))

    def embed(self, images: Num[Tensor, "n c h w"]) -> Float[Tensor, "n d"]:
        """The latent z, on the CPU."""
        return self.backbone.embed(images)

    def encode(self, images: Num[Tensor, "n c h w"]) -> Float[Tensor, "n d"]:
        """The latent z of a batch, on its device."""
        return self.backbone.encode(images)

    def encoder_state(self) -> dict[str, Tensor]:
        """A copy of the encoder's weights, on the CPU."""
        return {name: weights.detach().cpu().clone() for name, weights in self.backbone.encoder.state_dict().items()}

    def embed_pretrained(self, encoder: Mapping[str, Tensor], images: Num[Tensor, "n c h w"]) -> Float[Tensor, "n d"]:
        """The latents by an encoder of these weights, on the CPU."""
        backbone = copy.deepcopy(self.backbone)
        backbone.encoder.load_state_dict(encoder)
        return map_batches(backbone.encode, images, backbone.device)

    def take_names(self, names: Sequence[str]) -> None:
        self.backbone.take_names(names)

    @property
    def clusters(self) -> int:
        return self.run.clusters

    @property
    def dimensions(self) -> int:
        return self.backbone.latent

    @property
    def space(self) -> str:
        return f"{self.backbone.space} ({self.dimensions}-d)"

    @property
    def notes(self) -> tuple[str, ...]:
        return self.backbone.notes

    @property
    def kept_features(self) -> tuple[SeenImages, ...]:
        """What the frozen networks in its backbone made of the training images."""
        return self.backbone.kept_features

    @property
    def pretrained_on(self) -> str | None:
        """The data of others that its backbone was trained on."""
        return self.backbone.pretrained_on

    def reconstruct(self, images: Num[Tensor, "n c h w"]) -> UInt8[Tensor, "n c h w"] | None:
        """Every image as the decoder gives it back, on the CPU; None where the backbone has no decoder."""
        return self._decode(self.embed(images))

    def decoded_centroids(self) -> UInt8[Tensor, "k c h w"] | None:
        """What the decoder makes of every centroid, on the CPU; None without a decoder or without centroids."""
        return self._decode(self.centroid_positions()) if isinstance(self, CentroidMethod) else None

    def attention(self, images: Num[Tensor, "n c h w"]) -> Float[Tensor, "n rows columns"] | None:
        """The share of every patch in an image's latent, on the CPU; None where the encoder is no transformer."""
        backbone = self.backbone
        return map_batches(backbone.attention, images, backbone.device) if backbone.has_attention else None

    def networks(self) -> Mapping[str, nn.Module]:
        return self.backbone.networks()

    def _decode(self, z: Float[Tensor, "n d"]) -> UInt8[Tensor, "n c h w"] | None:
        if not self.backbone.has_decoder:
            return None
        return map_batches(self.backbone.decode, z, self.backbone.device).to(torch.uint8)


class SoftAssignments(JointMethod):
    """A joint method whose answer is one network's: probabilities of the clusters, and the largest of them."""

    @abstractmethod
    def soft(self, z: Float[Tensor, "n d"]) -> Float[Tensor, "n k"]:
        """The probabilities of the clusters given latents, on their device."""

    def assign_embedded(self, z: Float[Tensor, "n d"]) -> Assignments:
        q = map_batches(self.soft, z, self.backbone.device)
        return Assignments(q.argmax(dim=1), q)

    def soft_assign(self, images: Num[Tensor, "n c h w"]) -> Float[Tensor, "n k"]:
        """The probabilities of the clusters given images, on their device."""
        return self.soft(self.encode(images))

    @property
    def beyond_its_network(self) -> str | None:
        return self.backbone.beyond_its_network


class CentroidJointMethod(JointMethod):
    """A joint method whose clusters are centroids of the latents."""

    @property
    @abstractmethod
    def centroids(self) -> Centroids:
        """What holds them."""

    def centroid_positions(self) -> Float[Tensor, "k d"]:
        """The centroids in the latent space, on the CPU."""
        return self.centroids.centroids.detach().float().cpu()
