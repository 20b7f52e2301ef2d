"""Deep embedded k-means: KMeans in the latent space and a greedy step of the encoder, in turns.

Source: Guo, Lin, Ye, "Deep Embedded K-Means Clustering", ICDM Workshops 2021, arXiv 2109.15149 (DEKM).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor, nn

from configs.schema import OptimiserSettings, PositiveInt, Share
from estimators.base import Clusterer
from estimators.kmeans import inertia, kmeans, nearest_centroid
from estimators.settings import KMeansClustererSettings
from losses.dekm import drawn_to_centroids, scatter_basis, turned_mse, within_scatter
from methods.base import Assignments
from methods.joint import JointConfig, JointMethod
from models.autoencoder import ImageShape
from models.normalise import Normalise
from parts.backbones import Branch
from parts.clustering_phase import ClusteringPhaseSettings, clustering_phase
from parts.initialisation import initialisation
from parts.phases import Batch, Compute, FitPhase, Objective, Phase
from parts.reset import ResetSettings, resets


class DEKMSettings(ClusteringPhaseSettings):
    """The clustering phase, which trains the encoder alone."""

    update_interval: PositiveInt = 100
    """Steps between two KMeans of the whole training set, each of which makes new targets."""
    tol: Share = 0.005
    optimiser: OptimiserSettings = OptimiserSettings(learning_rate=1e-3)
    reset: ResetSettings | None = None


class DEKMConfig(JointConfig):
    """Config of DEKM."""

    method: Literal["dekm"] = "dekm"
    initialise: KMeansClustererSettings = KMeansClustererSettings(redos=20)
    cluster: DEKMSettings = DEKMSettings()


class Partition(nn.Module):
    """What KMeans left behind: centroids, the basis V, and the target of every training image until the next one.

    Args:
        clusters: k.
        latent: d.
    """

    centroids: Tensor
    basis: Tensor

    def __init__(self, clusters: int, latent: int) -> None:
        super().__init__()
        self.register_buffer("centroids", torch.zeros(clusters, latent))
        self.register_buffer("basis", torch.eye(latent))
        self.target: Float[Tensor, "n d"] | None = None

    def place(self, centroids: Float[Tensor, "k d"]) -> None:
        """Put the centroids where KMeans found them."""
        self.centroids.copy_(centroids)

    def aim(self, z: Float[Tensor, "n d"], labels: Int64[Tensor, " n"], basis: Float[Tensor, "d d"]) -> None:
        """Fix the basis, and the targets of all training images at their latents z."""
        self.basis.copy_(basis)
        self.target = drawn_to_centroids(z, self.centroids.to(z), labels, basis)

    def rows(self, indices: Int64[Tensor, " b"]) -> Float[Tensor, "b d"]:
        """The targets of the images at `indices`, on their device."""
        assert self.target is not None, "targets are made before the first step"
        self.target = self.target.to(indices.device)
        return self.target[indices]

    def get_extra_state(self) -> dict[str, Tensor | None]:
        return {"target": self.target}

    def set_extra_state(self, state: dict[str, Tensor | None]) -> None:
        self.target = state["target"]


class DEKMObjective(Objective):
    """Mean squared error between f(x) V and its target (DEKM, section III)."""

    def __init__(self, normalise: Normalise, branch: Branch, partition: Partition) -> None:
        super().__init__()
        self.normalise = normalise
        self.branch = branch
        self.partition = partition

    def forward(self, batch: Batch) -> dict[str, Float[Tensor, ""]]:
        z, _ = self.branch(self.normalise(batch.images), batch.noise)
        return {"loss": turned_mse(z, self.partition.basis, self.partition.rows(batch.indices))}


class DEKM(JointMethod):
    """A backbone, then KMeans and the encoder in turns, then a last KMeans.

    Args:
        config: of the run.
        shape: of the images.

    Raises:
        ModelError: when the network does not fit the images.
    """

    def __init__(self, config: DEKMConfig, shape: ImageShape) -> None:
        super().__init__(config, shape)
        self.config = config
        self.partition = Partition(config.clusters, self.backbone.latent)

    def phases(self, images: UInt8[Tensor, "n c h w"], compute: Compute) -> Sequence[Phase]:
        """pretrain: the backbone. initialise: KMeans on z. cluster: the alternation. assign: its last KMeans."""
        config, cluster, backbone, partition = self.config, self.config.cluster, self.backbone, self.partition

        def place(clusterer: Clusterer) -> None:
            partition.place(clusterer.centroids)

        def recluster() -> tuple[Float[Tensor, "n d"], Int64[Tensor, " n"]]:
            # From the last centroids, so that clusters keep their numbers and changes can be counted.
            z = compute.map(backbone.encode, images)
            start = self.centroid_positions()
            fit = compute.once(lambda: kmeans(z, config.clusters, config.initialise, config.seed, start))
            self.partition.place(fit.centroids)
            return z, fit.labels

        def refresh() -> Int64[Tensor, " n"]:
            z, labels = recluster()
            scatter = within_scatter(z, self.centroid_positions(), labels)
            # By one process: another machine's solver could turn a column round.
            basis = compute.once(lambda: scatter_basis(scatter))
            self.partition.aim(z, labels, basis.to(z.dtype))
            return labels

        def replace(clusterer: Clusterer) -> Sequence[nn.Parameter]:
            place(clusterer)
            refresh()
            return ()

        def settle() -> None:
            recluster()
            self.partition.target = None

        objective = DEKMObjective(backbone.normalise, backbone.branch(False), self.partition)
        return (
            *backbone.phases(images, compute),
            initialisation(config.initialise, config, images, compute, backbone.encode, self.partition, place),
            clustering_phase(
                cluster,
                objective,
                refresh,
                len(images),
                config.clusters,
                tol=cluster.tol,
                restart=resets(cluster.reset, cluster.batch_size, backbone, config, images, compute, replace),
            ),
            FitPhase("assign", self.partition, settle),
        )

    def assign_embedded(self, z: Float[Tensor, "n d"]) -> Assignments:
        """The nearest centroid."""
        return Assignments(nearest_centroid(z, self.centroid_positions())[0])

    def centroid_positions(self) -> Float[Tensor, "k d"]:
        """The centroids in the latent space, on the CPU."""
        return self.partition.centroids.cpu()

    def criteria(self, z: Float[Tensor, "n d"]) -> dict[str, float]:
        """inertia: the sum of squared distances to the nearest centroid, in float64."""
        return {"inertia": inertia(z, self.centroid_positions())}
