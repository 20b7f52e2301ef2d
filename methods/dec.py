"""Deep embedded clustering, and the family around it.

Sources: Xie, Girshick, Farhadi, "Unsupervised Deep Embedding for Clustering Analysis", ICML 2016 (DEC); with the
reconstruction kept, Guo, Gao, Liu, Yin, "Improved Deep Embedded Clustering with Local Structure Preservation", IJCAI
2017 (IDEC), on a convolutional network Guo et al., ICONIP 2017 (DCEC); with augmented images Guo, Zhu, Liu, Yin, "Deep
Embedded Clustering with Data Augmentation", ACML 2018 (DEC-DA).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from jaxtyping import Float, Int64, UInt8
from pydantic import Field, model_validator
from torch import Tensor, nn

from configs.schema import PositiveFloat, PositiveInt, Share
from estimators.base import Clusterer
from estimators.settings import KMeansClustererSettings
from losses.dec import clustering_kl
from methods.base import Assignments
from methods.joint import JointConfig, JointMethod
from models.autoencoder import ImageShape
from models.batched import map_batches
from models.clustering_head import ClusteringHead
from models.normalise import Normalise
from parts.backbones import Branch
from parts.clustering_phase import clustering_phase
from parts.initialisation import initialisation
from parts.phases import Batch, Compute, Objective, Phase
from parts.reset import ResetSettings, resets
from parts.training_target import TrainingTarget
from parts.training_views import AugmentedPhaseSettings, TrainingViews


class DECSettings(AugmentedPhaseSettings):
    """The clustering phase.

    The loss is γ·KL(p‖q), plus the network's own loss where it is kept: IDEC is `reconstruction: true`, `gamma: 0.1`.
    """

    alpha: PositiveFloat = 1.0
    gamma: PositiveFloat = 1.0
    reconstruction: bool = False
    """Keep the reconstruction error, or a VAE's whole lower bound."""
    kl: Annotated[float, Field(ge=0)] = 1.0
    """Weight of a VAE's KL divergence from its prior, where that is kept."""
    detach: bool = False
    """Keep the clustering loss from the encoder, which the reconstruction alone then trains."""
    update_interval: PositiveInt = 140
    """Steps between two refreshes of the target distribution over the whole training set."""
    tol: Share = 0.001
    reset: ResetSettings | None = None

    @model_validator(mode="after")
    def _something_trains_the_encoder(self) -> DECSettings:
        if self.detach and not self.reconstruction:
            raise ValueError("detach: true leaves nothing to train the encoder; set reconstruction: true as well")
        return self


class DECConfig(JointConfig):
    """Config of DEC and of its family, whose members differ in their settings alone."""

    method: Literal["dec", "idec", "dcec", "vae-dec", "dec-da", "idec-da"] = "dec"
    initialise: KMeansClustererSettings = KMeansClustererSettings(redos=20)
    cluster: DECSettings = DECSettings()

    @model_validator(mode="after")
    def _is_what_it_is_called(self) -> DECConfig:
        kept = self.cluster.reconstruction
        demands = {
            "idec": (kept, "keeps the reconstruction: set cluster.reconstruction: true"),
            "dcec": (
                kept and self.model.name != "dense",
                "is IDEC on a convolutional network: set cluster.reconstruction: true and model.name: conv",
            ),
            "vae-dec": (
                self.pretrain.objective == "elbo" and kept,
                "keeps a VAE's lower bound: pretrain.objective: elbo",
            ),
            "dec-da": (self.cluster.augments, "augments images: set cluster.augmentation"),
            "idec-da": (kept and self.cluster.augments, "keeps the reconstruction and augments images"),
        }
        fits, demand = demands.get(self.method, (True, ""))
        if not fits:
            raise ValueError(f"{self.method} {demand}, or call the method dec, which may have any of these")
        return self


class DECObjective(Objective):
    """γ·KL(p‖q) on a batch, against the target of the whole training set; the network's own loss beside it if kept."""

    def __init__(
        self,
        normalise: Normalise,
        branch: Branch,
        head: ClusteringHead,
        target: TrainingTarget,
        settings: DECSettings,
    ) -> None:
        super().__init__()
        self.views = TrainingViews(normalise, settings)
        self.branch = branch
        self.head = head
        self.target = target
        self.settings = settings

    def forward(self, batch: Batch) -> dict[str, Float[Tensor, ""]]:
        return self.views.mean_losses(lambda x: self._losses(x, batch), batch)

    def _losses(self, x: Float[Tensor, "b c h w"], batch: Batch) -> dict[str, Float[Tensor, ""]]:
        z, own = self.branch(x, batch.noise)
        log_q = self.head.log_probabilities(z.detach() if self.settings.detach else z)
        clustering = clustering_kl(self.target.rows(batch.indices), log_q)
        loss = self.settings.gamma * clustering
        for name, value in own.items():
            loss = loss + (self.settings.kl * value if name == "kl" else value)
        return {"loss": loss, "clustering": clustering, **own}


class DEC(JointMethod):
    """A backbone, then centroids from KMeans, then encoder and centroids together.

    Args:
        config: of the run.
        shape: of the images.

    Raises:
        ModelError: when the network does not fit the images.
    """

    def __init__(self, config: DECConfig, shape: ImageShape) -> None:
        super().__init__(config, shape)
        self.config = config
        self.head = ClusteringHead(config.clusters, self.backbone.latent, config.cluster.alpha)
        self.target = TrainingTarget()

    def phases(self, images: UInt8[Tensor, "n c h w"], compute: Compute) -> Sequence[Phase]:
        """pretrain: the backbone. initialise: KMeans on z. cluster: KL(p‖q)."""
        config, cluster, backbone, head = self.config, self.config.cluster, self.backbone, self.head

        def place(clusterer: Clusterer) -> None:
            head.place(clusterer.centroids)

        def refresh_target() -> Int64[Tensor, " n"]:
            return self.target.refresh(self._soft_assign, images, compute)

        def replace(clusterer: Clusterer) -> Sequence[nn.Parameter]:
            place(clusterer)
            refresh_target()
            return (head.centroids,)

        branch = backbone.branch(cluster.reconstruction)
        objective = DECObjective(backbone.normalise, branch, head, self.target, cluster)
        return (
            *backbone.phases(images, compute),
            initialisation(config.initialise, config, images, compute, backbone.encode, head, place),
            clustering_phase(
                cluster,
                objective,
                refresh_target,
                len(images),
                config.clusters,
                tol=cluster.tol,
                restart=resets(cluster.reset, cluster.batch_size, backbone, config, images, compute, replace),
            ),
        )

    def assign_embedded(self, z: Float[Tensor, "n d"]) -> Assignments:
        """The soft assignment q and its largest entry (Xie et al., section 3.1)."""
        q = map_batches(self.head, z, self.backbone.device)
        return Assignments(q.argmax(dim=1), q)

    def centroid_positions(self) -> Float[Tensor, "k d"]:
        """The centroids in the latent space, on the CPU."""
        return self.head.centroids.detach().float().cpu()

    def _soft_assign(self, images: UInt8[Tensor, "n c h w"]) -> Float[Tensor, "n k"]:
        q: Tensor = self.head(self.backbone.encode(images))
        return q
