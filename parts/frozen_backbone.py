"""The features of a network that others trained, as a representation and as what joint methods stand on.

The network is no part of the method's state: a checkpoint holds its name and the SHA-256 of its weights. The features
of the training images are a phase of their own, so that runs share them, and no part of a checkpoint either: who opens
one finds them in the store of phases (`engine.kept_features`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from models.autoencoder import ImageShape, ModelError, refuse_points
from models.batched import map_batches
from models.pretrained import load_network
from models.pretrained_settings import FrozenSettings, SpacesSettings
from models.projection import unit_length
from parts.backbone import Backbone, RestingBackbone
from parts.phases import Compute, FitPhase, Phase, Progress
from parts.seen_images import SeenImages

FROZEN_PHASE = "represent-frozen"


class FrozenPretrainSettings(SpacesSettings):
    """In place of a pretraining: a network that others trained, or several, and that rest."""

    objective: Literal["frozen"] = "frozen"


class FrozenFeatures(RestingBackbone):
    """What the feature of one network that others trained, and those of several, have in common."""

    name = "frozen"
    refusal = (
        "this method trains its encoder on, and a frozen network is not trained: take temi, turtle, pace, scan, "
        "deepdpm or a two-stage method such as frozen-kmeans, or another pretrain.objective."
    )
    without_encoder = "a frozen network is no part of the method."

    @property
    def beyond_its_network(self) -> str:
        return "a frozen network of others, which is no part of it: write that network by the package that it came from"


class FrozenBackbone(FrozenFeatures):
    """The feature, of length 1, of a network that others trained.

    Args:
        settings: that name the network.
        shape: of the images.

    Raises:
        ModelError: when the network or its weights are not to be had.
    """

    def __init__(self, settings: FrozenSettings, shape: ImageShape) -> None:
        refuse_points(shape, f"the network {settings.model}")
        facts = load_network(settings).facts
        super().__init__(shape, facts.features)
        self.settings, self.facts = settings, facts
        self._seen = (SeenImages(),)  # in a tuple, so that it is no part of the state

    @property
    def kept_features(self) -> tuple[SeenImages, ...]:
        return self._seen

    def phases(self, images: UInt8[Tensor, "n c h w"], compute: Compute) -> Sequence[Phase]:
        """represent-frozen: the features of the training images."""
        (seen,) = self._seen
        progress = Progress(len(compute.shard(images)))

        def encode(batch: Tensor) -> Tensor:
            return self.encode(batch, progress.add)

        name = self.facts.name

        def fit() -> None:
            seen.remember(images, _finite(compute.map(encode, images), name))

        return (FitPhase(FROZEN_PHASE, seen, fit, progress, draws=False),)

    def points(self, images: UInt8[Tensor, "n c h w"], compute: Compute) -> Float[Tensor, "n d"]:
        (seen,) = self._seen
        # A run that goes on after its first phase, and finds them in no store, computes them once more.
        if not seen.is_fitted:
            seen.remember(images, _finite(compute.map(self.encode, images), self.facts.name))
        return seen.arrays["places"]

    def encode(
        self, images: UInt8[Tensor, "n c h w"], done: Callable[[int], None] | None = None
    ) -> Float[Tensor, "n d"]:
        """The features, on the images' device; `done` is told of every part of the batch."""
        return unit_length(load_network(self.settings)(images, done))

    def embed(self, images: UInt8[Tensor, "n c h w"]) -> Float[Tensor, "n d"]:
        """The features of any images, on the CPU. Only those that are not known yet are computed."""
        (seen,) = self._seen
        rows = seen.rows(images)
        new = rows < 0
        if new.all():
            return map_batches(self.encode, images, self.device)
        found = seen.arrays["places"][rows]
        if new.any():
            found[new] = map_batches(self.encode, images[new], self.device)
        return found

    @property
    def pretrained_on(self) -> str:
        return self.facts.pretrained_on

    @property
    def notes(self) -> tuple[str, ...]:
        return (f"frozen features of {self.facts.name}, pretrained on {self.facts.pretrained_on}",)

    def get_extra_state(self) -> dict[str, str]:
        return {"network": self.facts.name, "sha256": self.facts.sha256}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        if state["sha256"] != self.facts.sha256:
            raise ValueError(
                f"the run was made with {state['network']} of weights with SHA-256 {state['sha256'][:16]}…, and "
                f"{self.facts.name} has {self.facts.sha256[:16]}… here: give back the weights of the run"
            )


def _finite(features: Float[Tensor, "n d"], name: str) -> Float[Tensor, "n d"]:
    """Raises ModelError where a network gives NaN or infinite numbers."""
    broken = int((~features.isfinite()).any(dim=1).sum())
    if broken:
        raise ModelError(
            f"{name} gives NaN or infinite features for {broken:,} of {len(features):,} images. Are its weights, and "
            "the mean and sd of its input, the right ones? precision=32-true may help as well."
        )
    return features


class FrozenSpaces(FrozenFeatures):
    """The features of several networks that others trained, side by side, each of length 1.

    Args:
        settings: that name the networks.
        shape: of the images.

    Raises:
        ModelError: when a network or its weights are not to be had.
    """

    def __init__(self, settings: SpacesSettings, shape: ImageShape) -> None:
        members = [FrozenBackbone(network, shape) for network in settings.networks]
        super().__init__(shape, sum(member.latent for member in members))
        self.settings, self.members = settings, nn.ModuleList(members)

    @property
    def spaces(self) -> tuple[int, ...]:
        return tuple(member.latent for member in self._members)

    @property
    def kept_features(self) -> tuple[SeenImages, ...]:
        return tuple(seen for member in self._members for seen in member.kept_features)

    def phases(self, images: UInt8[Tensor, "n c h w"], compute: Compute) -> Sequence[Phase]:
        """represent-frozen, of every network."""
        return tuple(phase for member in self._members for phase in member.phases(images, compute))

    def points(self, images: UInt8[Tensor, "n c h w"], compute: Compute) -> Float[Tensor, "n d"]:
        return torch.cat([member.points(images, compute) for member in self._members], dim=1)

    def encode(self, images: UInt8[Tensor, "n c h w"]) -> Float[Tensor, "n d"]:
        return torch.cat([member.encode(images) for member in self._members], dim=1)

    def embed(self, images: UInt8[Tensor, "n c h w"]) -> Float[Tensor, "n d"]:
        return torch.cat([member.embed(images) for member in self._members], dim=1)

    @property
    def pretrained_on(self) -> str:
        return "; ".join(dict.fromkeys(member.pretrained_on for member in self._members))

    @property
    def notes(self) -> tuple[str, ...]:
        return tuple(note for member in self._members for note in member.notes)

    @property
    def _members(self) -> list[FrozenBackbone]:
        return [member for member in self.members if isinstance(member, FrozenBackbone)]


def frozen_backbone(settings: SpacesSettings, shape: ImageShape) -> Backbone:
    """The features that `settings` name: of one network, or of several.

    Raises:
        ModelError: when a network or its weights are not to be had.
    """
    return FrozenSpaces(settings, shape) if settings.beside else FrozenBackbone(settings.networks[0], shape)
