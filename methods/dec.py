"""Deep embedded clustering (DEC), and the family around it.

1. An autoencoder is pretrained. KMeans on its latents z finds the first centroids μ.
2. q, the soft assignment of every latent to every centroid (eq. 1), gives the target distribution p (eq. 3).
3. Encoder and centroids are trained on KL(p ‖ q) (eq. 2). After every `update_interval` steps, p is computed anew.
4. It ends when a refresh changes fewer than `tol` of the assignments. The answer is the largest entry of q.

Sources: Xie, Girshick, Farhadi, "Unsupervised Deep Embedding for Clustering Analysis", ICML 2016 (DEC); with the
reconstruction kept, Guo, Gao, Liu, Yin, "Improved Deep Embedded Clustering with Local Structure Preservation", IJCAI
2017 (IDEC), on a convolutional network Guo et al., ICONIP 2017 (DCEC); with augmented images Guo, Zhu, Liu, Yin, "Deep
Embedded Clustering with Data Augmentation", ACML 2018 (DEC-DA); with known pairs Ren, Hu, Dai, Pan, Hoi, Xu,
"Semi-supervised deep embedded clustering", Neurocomputing 2019 (SDEC).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Literal

from jaxtyping import Bool, Float, Int64, Num
from pydantic import Field, model_validator
from torch import Tensor, nn

from configs.schema import PositiveFloat, PositiveInt, Settings, Share
from data.known import Known
from estimators.settings import KMeansClustererSettings
from losses.dec import cluster_frequencies, clustering_kl, log_soft_assignment, soft_assignment, target_distribution
from losses.known_pairs import link_surprise, linked_distance
from methods.joint import CentroidJointMethod, JointConfig, SoftAssignments
from models.autoencoder import ImageShape
from models.normalise import Normalise
from parts.backbone import Branch
from parts.in_place import renewed
from parts.initialisation import Centroids
from parts.known_links import KnownLinks, LinkedLatents
from parts.phases import Batch, Compute, Objective, Phase
from parts.reset import resets
from parts.training_views import AugmentedPhaseSettings, TrainingViews


class ClusteringHead(Centroids):
    """Trainable centroids μ with the soft assignment q of latents to them.

    Args:
        clusters: k.
        latent: d.
        alpha: degrees of freedom of Student's t kernel; the paper uses 1.
    """

    def __init__(self, clusters: int, latent: int, alpha: float = 1.0) -> None:
        super().__init__(clusters, latent, trained=True)
        self.alpha = alpha

    def forward(self, z: Float[Tensor, "n d"]) -> Float[Tensor, "n k"]:
        """q: rows sum to 1 (eq. 1)."""
        return soft_assignment(z, self.centroids, self.alpha)

    def log_q(self, z: Float[Tensor, "n d"]) -> Float[Tensor, "n k"]:
        """log q, which has a gradient where q is too small for a float."""
        return log_soft_assignment(z, self.centroids, self.alpha)

    def link_surprise(
        self, first: Float[Tensor, "n d"], second: Float[Tensor, "n d"], must: Bool[Tensor, " n"]
    ) -> Float[Tensor, ""]:
        """The loss of known pairs, of their latents: how unlikely their links are under q."""
        return link_surprise(self.log_q(first), self.log_q(second), must)


class TrainingTarget(nn.Module):
    """The target distribution p of the whole training set, which stays as it is between two refreshes.

    It is part of the state, since the weights that it was computed from are gone.
    """

    def __init__(self) -> None:
        super().__init__()
        self.p: Float[Tensor, "n k"] | None = None

    def refresh(
        self,
        soft_assign: Callable[[Num[Tensor, "n c h w"]], Float[Tensor, "n k"]],
        images: Num[Tensor, "n c h w"],
        compute: Compute,
    ) -> Int64[Tensor, " n"]:
        """Compute p of all images anew (eq. 3), and return their assignments, the largest entries of q.

        Every process works on its share of the images. The cluster frequencies f are sums over all of them.
        """
        q = compute.shard(compute.map(soft_assign, images))
        f = compute.total(cluster_frequencies(q))
        self.p = renewed(self.p, compute.gather(target_distribution(q, f), len(images)))
        return compute.gather(q.argmax(dim=1), len(images))

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
    """γ·KL(p‖q) on a batch (eq. 2); where the settings keep it, the network's own loss is added (IDEC, eq. 1).

    Args:
        normalise: of pixels.
        branch: images to z, with the network's own losses.
        head: μ and q.
        target: p.
        settings: of the phase.
    """

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
        log_q = self.head.log_q(z.detach() if self.settings.detach else z)
        clustering = clustering_kl(self.target.rows(batch.indices), log_q)
        loss = self.settings.gamma * clustering
        for name, value in own.items():
            loss = loss + (self.settings.kl * value if name == "kl" else value)
        return {"loss": loss, "clustering": clustering, **own}


class DEC(SoftAssignments, CentroidJointMethod):
    """Deep embedded clustering, as the top of this file describes it.

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

    def phases(self, images: Num[Tensor, "n c h w"], compute: Compute) -> Sequence[Phase]:
        """pretrain: the backbone. initialise: KMeans on z. cluster: KL(p‖q)."""
        return self._phases(images, compute, None)

    def semi_supervised_phases(self, images: Num[Tensor, "n c h w"], compute: Compute, known: Known) -> Sequence[Phase]:
        """The same, with the known pairs beside KL(p‖q) (SDEC)."""
        return self._phases(images, compute, known)

    def _phases(self, images: Num[Tensor, "n c h w"], compute: Compute, known: Known | None) -> Sequence[Phase]:
        settings, backbone, head, target = self.config.cluster, self.backbone, self.head, self.target

        def soft_assign(part: Num[Tensor, "n c h w"]) -> Float[Tensor, "n k"]:
            q: Tensor = head(backbone.encode(part))
            return q

        def refresh() -> Int64[Tensor, " n"]:
            return target.refresh(soft_assign, images, compute)

        branch = backbone.branch(settings.reconstruction)
        objective: Objective = DECObjective(backbone.normalise, branch, head, target, settings)
        if known is not None:
            links = KnownLinks(known, settings.known.weight)
            loss = head.link_surprise if settings.known.loss == "likelihood" else linked_distance
            objective = LinkedLatents(objective, links, loss, backbone.encode, images, compute)
        training = self.joint_training(images, compute)
        return (
            *training.pretrain(),
            training.initialise_centroids(self.config.initialise, head),
            training.cluster(
                settings, objective, refresh, tol=settings.tol, restart=resets(training, settings, head, refresh)
            ),
        )

    def soft(self, z: Float[Tensor, "n d"]) -> Float[Tensor, "n k"]:
        """The soft assignment q (Xie et al., section 3.1)."""
        q: Tensor = self.head(z)
        return q

    @property
    def centroids(self) -> Centroids:
        return self.head


class KnownPairsSettings(Settings):
    """What is trained beside the rest where labels of some images are known (--known)."""

    loss: Literal["likelihood", "distance"] = "likelihood"
    """Of known pairs: the likelihood of their links under q; or the distances of their latents, as in SDEC."""
    weight: PositiveFloat = 1.0


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
    known: KnownPairsSettings = KnownPairsSettings()
    detach: bool = False
    """Keep the clustering loss from the encoder, which the reconstruction alone then trains."""
    update_interval: PositiveInt = 140
    """Steps between two refreshes of the target distribution over the whole training set."""
    tol: Share = 0.001

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
