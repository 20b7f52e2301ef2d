"""Deep embedded clustering.

Source: Xie, Girshick, Farhadi, "Unsupervised Deep Embedding for Clustering Analysis", ICML 2016. With the
reconstruction kept it is IDEC: Guo, Gao, Liu, Yin, "Improved Deep Embedded Clustering with Local Structure
Preservation", IJCAI 2017; and on the convolutional network DCEC (Guo et al., ICONIP 2017).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

import torch
from jaxtyping import Float, Int64, UInt8
from pydantic import Field, model_validator
from torch import Tensor, nn

from clusterers.kmeans import kmeans
from configs.schema import (
    KMeansSettings,
    OptimiserSettings,
    PositiveFloat,
    PositiveInt,
    PretrainSettings,
    RunConfig,
    Settings,
    Share,
)
from losses.clustering import clustering_kl
from losses.reconstruction import reconstruction_mse
from losses.soft_assignment import cluster_frequencies, target_distribution
from methods.base import Assignments, Batch, Compute, FitPhase, GradientPhase, Objective, Phase, epochs_needed
from methods.pretraining import pretraining
from models.autoencoder import Autoencoder, ImageShape
from models.batched import map_batches
from models.build import build_autoencoder, latent_size
from models.clustering_head import ClusteringHead
from models.normalise import Normalise
from models.settings import AutoencoderSettings, ConvSettings


class DECSettings(Settings):
    """The clustering phase.

    The loss is γ·KL(p‖q), plus the reconstruction error where it is kept: IDEC is `reconstruction: true`, `gamma: 0.1`.
    """

    alpha: PositiveFloat = 1.0
    gamma: PositiveFloat = 1.0
    reconstruction: bool = False
    detach: bool = False
    """Keep the clustering loss from the encoder, which the reconstruction alone then trains."""
    update_interval: PositiveInt = 140
    """Steps between two refreshes of the target distribution over the whole training set."""
    tol: Share = 0.001
    max_epochs: PositiveInt = 15
    min_steps: Annotated[int, Field(ge=0)] = 1000
    """As many epochs more as a small data set needs to reach this number of steps."""
    batch_size: PositiveInt = 256
    optimiser: OptimiserSettings = OptimiserSettings(learning_rate=1e-4)

    @model_validator(mode="after")
    def _something_trains_the_encoder(self) -> DECSettings:
        if self.detach and not self.reconstruction:
            raise ValueError("detach: true leaves nothing to train the encoder; set reconstruction: true as well")
        return self


class DECConfig(RunConfig):
    """Config of `--method dec`."""

    method: Literal["dec"] = "dec"
    pixels: Literal["standardised", "unit"] = "standardised"
    """Standardised by the training images' mean and sd, or from 0 to 1 as in most papers. An error of 1 in
    standardised pixels is one of the pixels' variance in the other: γ weighs accordingly."""
    model: AutoencoderSettings = ConvSettings()
    pretrain: PretrainSettings = PretrainSettings()
    initialise: KMeansSettings = KMeansSettings()
    cluster: DECSettings = DECSettings()


class TrainingTarget(nn.Module):
    """The target distribution p of the whole training set, between two refreshes.

    It is part of the state, since the weights that it was computed from are gone.
    """

    def __init__(self) -> None:
        super().__init__()
        self.p: Float[Tensor, "n k"] | None = None

    def rows(self, indices: Int64[Tensor, " b"]) -> Float[Tensor, "b k"]:
        """p of the images at `indices`, on their device."""
        assert self.p is not None, "the target is refreshed before the first step"
        self.p = self.p.to(indices.device)
        return self.p[indices]

    def get_extra_state(self) -> dict[str, Tensor | None]:
        return {"p": self.p}

    def set_extra_state(self, state: dict[str, Tensor | None]) -> None:
        self.p = state["p"]


class DECObjective(Objective):
    """γ·KL(p‖q) on a batch, against the target of the whole training set; the reconstruction beside it if kept."""

    def __init__(
        self,
        normalise: Normalise,
        autoencoder: Autoencoder,
        head: ClusteringHead,
        target: TrainingTarget,
        settings: DECSettings,
    ) -> None:
        super().__init__()
        self.normalise = normalise
        self.encoder = autoencoder.encoder
        self.decoder = autoencoder.decoder if settings.reconstruction else None
        self.head = head
        self.settings = settings
        self.target = target

    def forward(self, batch: Batch) -> dict[str, Float[Tensor, ""]]:
        x = self.normalise(batch.images)
        z = self.encoder(x)
        q = self.head(z.detach() if self.settings.detach else z)
        clustering = clustering_kl(self.target.rows(batch.indices), q)
        if self.decoder is None:
            return {"loss": self.settings.gamma * clustering, "clustering": clustering}
        reconstruction = reconstruction_mse(self.decoder(z), x)
        loss = reconstruction + self.settings.gamma * clustering
        return {"loss": loss, "clustering": clustering, "reconstruction": reconstruction}


class DEC(nn.Module):
    """Autoencoder, then centroids from KMeans, then encoder and centroids together.

    Args:
        config: of the run.
        shape: of the images.

    Raises:
        ModelError: when the network does not fit the images.
    """

    def __init__(self, config: DECConfig, shape: ImageShape) -> None:
        super().__init__()
        self.config = config
        self.normalise = Normalise(shape.channels)
        self.autoencoder = build_autoencoder(config.model, shape)
        self.head = ClusteringHead(config.clusters, latent_size(config.model, shape), config.cluster.alpha)
        self.target = TrainingTarget()

    def phases(self, images: UInt8[Tensor, "n c h w"], compute: Compute) -> Sequence[Phase]:
        """pretrain: reconstruction. initialise: KMeans on z. cluster: KL(p‖q)."""
        config, cluster = self.config, self.config.cluster
        if config.pixels == "standardised":
            self.normalise.fit(images)

        def place_centroids() -> None:
            z = compute.map(self._encode, images)
            fit = compute.once(lambda: kmeans(z, config.clusters, config.initialise, config.seed))
            self.head.place(fit.centroids)

        def refresh_target() -> Int64[Tensor, " n"]:
            q = compute.shard(compute.map(self._soft_assign, images))
            p = target_distribution(q, compute.total(cluster_frequencies(q)))
            self.target.p = compute.gather(p, len(images))
            return compute.gather(q.argmax(dim=1), len(images))

        return (
            pretraining(self.normalise, self.autoencoder, config.pretrain, config.model, len(images)),
            FitPhase(
                name="initialise",
                settings={
                    "initialise": config.initialise.model_dump(mode="json"),
                    "clusters": config.clusters,
                },
                module=self.head,
                fit=place_centroids,
            ),
            GradientPhase(
                name="cluster",
                settings=cluster.model_dump(mode="json"),
                module=DECObjective(self.normalise, self.autoencoder, self.head, self.target, cluster),
                optimiser=cluster.optimiser,
                epochs=epochs_needed(len(images), cluster.batch_size, cluster.max_epochs, cluster.min_steps),
                batch_size=cluster.batch_size,
                refresh=refresh_target,
                refresh_interval=cluster.update_interval,
                clusters=config.clusters,
                tol=cluster.tol,
            ),
        )

    @property
    def clusters(self) -> int:
        return self.config.clusters

    @property
    def space(self) -> str:
        return f"latent ({self.head.centroids.shape[1]}-d)"

    @property
    def notes(self) -> tuple[str, ...]:
        return ()

    def embed(self, images: UInt8[Tensor, "n c h w"]) -> Float[Tensor, "n d"]:
        """The latent z, on the CPU."""
        return map_batches(self._encode, images, self._device)

    def assign(self, images: UInt8[Tensor, "n c h w"]) -> Assignments:
        """The soft assignment q and its largest entry (Xie et al., section 3.1)."""
        q = map_batches(self._soft_assign, images, self._device)
        return Assignments(q.argmax(dim=1), q)

    def reconstruct(self, images: UInt8[Tensor, "n c h w"]) -> UInt8[Tensor, "n c h w"]:
        """Every image as the decoder gives it back, on the CPU."""
        pixels = map_batches(
            lambda batch: self.normalise.invert(self.autoencoder.decode(self._encode(batch))),
            images,
            self._device,
        )
        return pixels.to(torch.uint8)

    def networks(self) -> Mapping[str, nn.Module]:
        """Encoder and decoder."""
        return {"encoder": self.autoencoder.encoder, "decoder": self.autoencoder.decoder}

    def centroid_positions(self) -> Float[Tensor, "k d"]:
        """The centroids in the latent space, on the CPU."""
        return self.head.centroids.detach().float().cpu()

    def decoded_centroids(self) -> UInt8[Tensor, "k c h w"]:
        """What the decoder makes of every centroid, on the CPU."""
        with torch.no_grad():
            return self.normalise.invert(self.autoencoder.decode(self.head.centroids)).cpu()

    def _encode(self, images: UInt8[Tensor, "n c h w"]) -> Float[Tensor, "n d"]:
        return self.autoencoder.encode(self.normalise(images))

    def _soft_assign(self, images: UInt8[Tensor, "n c h w"]) -> Float[Tensor, "n k"]:
        q: Tensor = self.head(self._encode(images))
        return q

    @property
    def _device(self) -> torch.device:
        return self.head.centroids.device
