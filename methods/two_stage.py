"""Two stages: a representation of the images, then a clusterer of its points.

Every baseline is a configuration of this one method, and is named after its parts: raw-kmeans, ae-gmm, pca-umap-som.

1. An encoder turns images into points: raw pixels, HOG, or a network that is trained first.
2. Reducers bring the points to fewer dimensions: PCA, UMAP, both, or none.
3. A clusterer finds the clusters of what comes out. Nothing flows back.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from jaxtyping import Float, Num, UInt8
from pydantic import model_validator
from torch import Tensor, nn

from configs.schema import RunConfig, Settings
from estimators.base import Clusterer, Reducer
from estimators.build import build_clusterer
from estimators.pca import PCA
from estimators.settings import (
    ClustererSettings,
    DensitySettings,
    KMeansClustererSettings,
    PCASettings,
    UMAPSettings,
    UMAPStageSettings,
)
from estimators.umap import UMAP
from methods.base import Assignments
from models.autoencoder import ImageShape
from models.batched import map_batches
from models.oriented_gradients import HOGSettings
from models.pretrained_settings import SpacesSettings
from models.settings import dense_in_place_of
from parts.backbones import (
    AutoencoderBackbone,
    AutoencoderStageSettings,
    ContrastiveBackbone,
    ContrastiveStageSettings,
    VAEBackbone,
    VAEStageSettings,
)
from parts.fit_to_points import fit_to_points
from parts.frozen_backbone import frozen_backbone
from parts.given_features import FeaturesSettings, GivenFeatures
from parts.image_encoders import Gradients, ImageEncoder, RawPixels
from parts.phases import Compute, FitPhase, Phase
from parts.seen_images import SeenImages


class RepresentationSettings(Settings):
    """Images, then a network or HOG, then PCA, then UMAP, each only if it is given; none of them is raw pixels."""

    hog: HOGSettings | None = None
    autoencoder: AutoencoderStageSettings | None = None
    vae: VAEStageSettings | None = None
    simclr: ContrastiveStageSettings | None = None
    frozen: SpacesSettings | None = None
    features: FeaturesSettings | None = None
    pca: PCASettings | None = None
    umap: UMAPStageSettings | None = None

    @model_validator(mode="after")
    def _one_encoder(self) -> RepresentationSettings:
        if sum(encoder is not None for encoder in self.encoders.values()) > 1:
            raise ValueError("give one of `hog`, `autoencoder`, `vae`, `simclr`, `frozen` and `features`, not several")
        return self

    @property
    def encoders(self) -> dict[str, Settings | None]:
        """Every encoder's settings by its name; None, except for the one that is given, if any."""
        networks = {"ae": self.autoencoder, "vae": self.vae, "simclr": self.simclr, "frozen": self.frozen}
        return {"hog": self.hog, **networks, "features": self.features}

    @property
    def name(self) -> str:
        """ "raw", or the parts in their order: "ae-umap"."""
        parts = {**self.encoders, "pca": self.pca, "umap": self.umap}
        return "-".join(name for name, part in parts.items() if part is not None) or "raw"

    def reducers(self, clusters: int) -> dict[str, PCASettings | UMAPSettings]:
        """What comes after the network, in order, where there are so many clusters."""
        umap = None if self.umap is None else self.umap.resolved(clusters)
        return {name: part for name, part in (("pca", self.pca), ("umap", umap)) if part is not None}


class TwoStageConfig(RunConfig):
    """Config of all two-stage methods."""

    method: str = "raw-kmeans"
    representation: RepresentationSettings = RepresentationSettings()
    cluster: ClustererSettings = KMeansClustererSettings()

    @property
    def parts(self) -> str:
        """The names of its parts: "ae-umap-gmm"."""
        return f"{self.representation.name}-{self.cluster.name}"

    @model_validator(mode="after")
    def _is_named_after_its_parts(self) -> TwoStageConfig:
        if self.method != self.parts:
            raise ValueError(
                f"the method is called {self.method!r}, but its parts make it {self.parts!r}; name that one"
            )
        return self

    @property
    def for_points(self) -> dict[str, Any]:
        """Dense networks."""
        found: dict[str, Any] = {}
        for section in ("autoencoder", "vae"):
            stage = getattr(self.representation, section)
            if stage is not None and stage.model.name != "dense":
                found[f"representation.{section}.model"] = dense_in_place_of(stage.model)
        if self.representation.vae is not None:
            found["representation.vae.pretrain.likelihood"] = "gaussian"
        return found

    @property
    def finds_clusters(self) -> bool:
        return isinstance(self.cluster, DensitySettings)

    @property
    def different_images_needed(self) -> int:
        return 1 if self.finds_clusters else self.clusters


ENCODER_KINDS: dict[str, Callable[[Any, ImageShape], ImageEncoder]] = {
    "hog": Gradients,
    "ae": AutoencoderBackbone,
    "vae": VAEBackbone,
    "simclr": ContrastiveBackbone,
    "frozen": frozen_backbone,
    "features": GivenFeatures,
}


class TwoStage(nn.Module):
    """A representation, then a clusterer of its points.

    Args:
        config: of the run.
        shape: of the images.

    Raises:
        ModelError: when a network does not fit the images.
    """

    def __init__(self, config: TwoStageConfig, shape: ImageShape) -> None:
        super().__init__()
        self.config, self.shape = config, shape
        self.encoder = build_encoder(config.representation, shape)
        self.reducers = nn.ModuleDict(build_reducers(config.representation, config.clusters))
        self.seen = SeenImages()
        self.clusterer: Clusterer = build_clusterer(config.cluster)

    def take_names(self, names: Sequence[str]) -> None:
        self.encoder.take_names(names)

    def phases(self, images: Num[Tensor, "n c h w"], compute: Compute) -> Sequence[Phase]:
        """pretrain, represent-frozen: of a network. represent-pca, -umap: of its points. cluster: what comes out."""
        k, seed, encoder, clusterer = self.config.clusters, self.config.seed, self.encoder, self.clusterer
        phases: list[Phase] = list(encoder.phases(images, compute))
        before: list[Reducer] = []
        for name, reducer in self._reducers.items():
            fit = fit_to_points(reducer, partial(reducer.fit, seed=seed), encoder, tuple(before), images, compute)
            phases.append(FitPhase(f"represent-{name}", reducer, fit))
            before.append(reducer)
        fit = fit_to_points(
            clusterer, partial(clusterer.fit, k=k, seed=seed), encoder, tuple(before), images, compute, self.seen
        )
        return (*phases, FitPhase("cluster", nn.ModuleDict({"clusterer": clusterer, "seen": self.seen}), fit))

    @property
    def clusters(self) -> int:
        return self.clusterer.clusters or self.config.clusters

    @property
    def noise_cluster(self) -> int | None:
        """The label of images that DBSCAN or HDBSCAN left out of all clusters."""
        return self.clusterer.noise_cluster

    @property
    def dimensions(self) -> int:
        return self.clusterer.centroids.shape[1] if self.clusterer.is_fitted else 0

    @property
    def space(self) -> str:
        size = f" ({self.dimensions}-d)" if self.dimensions else ""
        name = self.config.representation.name
        return {
            "raw": "points" if self.shape.is_point else "pixels",
            "ae": "latent",
            "vae": "latent",
            "simclr": "feature",
            "frozen": "feature",
            "features": "feature",
        }.get(name, name.upper().replace("-", " ")) + size

    @property
    def notes(self) -> tuple[str, ...]:
        reducers = (note for reducer in self._reducers.values() for note in reducer.notes)
        return (*self.encoder.notes, *reducers, *self.clusterer.notes)

    @property
    def kept_features(self) -> tuple[SeenImages, ...]:
        """What the frozen networks in its encoder made of the training images."""
        return self.encoder.kept_features

    @property
    def pretrained_on(self) -> str | None:
        """The data of others that its encoder was trained on."""
        return self.encoder.pretrained_on

    def embed(self, images: Num[Tensor, "n c h w"]) -> Float[Tensor, "n d"]:
        """The points that the clusterer sees, on the CPU; before the end of the fit, those of the stages so far."""
        points = self.encoder.embed(images)
        return self.seen.recall(images, self._reduce(points.to(self.encoder.device)).cpu())

    def assign(self, images: Num[Tensor, "n c h w"]) -> Assignments:
        """The clusterer's answer."""
        return self.assign_embedded(self.embed(images))

    def assign_embedded(self, z: Float[Tensor, "n d"]) -> Assignments:
        """The clusterer's answer for points that `embed` gave."""
        return Assignments(*self.clusterer.assign(z.to(self.encoder.device)))

    def criteria(self, z: Float[Tensor, "n d"]) -> dict[str, float]:
        """The clusterer's own criterion on points that `embed` gave."""
        return self.clusterer.criteria(z.to(self.encoder.device))

    def centroid_positions(self) -> Float[Tensor, "k d"]:
        """The clusters' centres in the space that was clustered."""
        return self.clusterer.centroids

    def reconstruct(self, images: Num[Tensor, "n c h w"]) -> UInt8[Tensor, "n c h w"] | None:
        """Every image as its point gives it back; None for raw pixels, which lose nothing, for UMAP, and of points."""
        if self.config.representation.name == "raw":
            return None
        return self._decode(self.embed(images))

    def decoded_centroids(self) -> UInt8[Tensor, "k c h w"] | None:
        """The images that the clusters' centres stand for; None for UMAP, which has no way back."""
        return self._decode(self.centroid_positions())

    def attention(self, images: Num[Tensor, "n c h w"]) -> Float[Tensor, "n rows columns"] | None:
        """The share of every patch in what the encoder makes of an image; None where it is no transformer."""
        encoder = self.encoder
        return map_batches(encoder.attention, images, encoder.device) if encoder.has_attention else None

    def networks(self) -> Mapping[str, nn.Module]:
        return self.encoder.networks()

    @property
    def _reducers(self) -> dict[str, Reducer]:
        return {name: reducer for name, reducer in self.reducers.items() if isinstance(reducer, Reducer)}

    def _reduce(self, points: Float[Tensor, "n d"]) -> Float[Tensor, "n e"]:
        """The points through all reducers that are fitted."""
        for reducer in self._reducers.values():
            if reducer.is_fitted:
                points = reducer.transform(points)
        return points

    def _decode(self, points: Float[Tensor, "n d"]) -> UInt8[Tensor, "n c h w"] | None:
        if not self.encoder.has_decoder:
            return None
        for reducer in reversed(self._reducers.values()):
            if not isinstance(reducer, PCA):
                return None
            if reducer.is_fitted:
                points = reducer.invert(points)
        return map_batches(self.encoder.decode, points, self.encoder.device).to(torch.uint8)


def build_encoder(settings: RepresentationSettings, shape: ImageShape) -> ImageEncoder:
    """The encoder that `settings` name, or raw pixels."""
    for name, encoder in settings.encoders.items():
        if encoder is not None:
            return ENCODER_KINDS[name](encoder, shape)
    return RawPixels(shape)


REDUCER_KINDS: dict[str, Callable[[Any], Reducer]] = {"pca": PCA, "umap": UMAP}


def build_reducers(settings: RepresentationSettings, clusters: int) -> dict[str, Reducer]:
    """PCA and UMAP, where `settings` name them, in this order."""
    return {name: REDUCER_KINDS[name](part) for name, part in settings.reducers(clusters).items()}
