"""Deep embedded k-means (DEKM): KMeans in the latent space and a greedy step of the encoder, in turns.

1. An autoencoder is pretrained. From here on only its encoder is trained.
2. KMeans on the latents h. V are the eigenvectors of the scatter within clusters, by ascending eigenvalue.
3. In y = h V, the last coordinate shows the least cluster structure. The target of y is y, drawn there to its centroid.
4. The encoder is trained on the squared error between y and its target, for `update_interval` steps; then step 2 again.
5. It ends when a KMeans changes fewer than `tol` of the assignments. A last KMeans gives the answer.

Source: Guo, Lin, Ye, "Deep Embedded K-Means Clustering", ICDM Workshops 2021, arXiv 2109.15149 (DEKM).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from jaxtyping import Float, Int64, Num
from torch import Tensor

from configs.schema import OptimiserSettings, PositiveInt, Share
from estimators.kmeans import inertia, kmeans, nearest_centroid
from estimators.settings import KMeansClustererSettings
from losses.dekm import drawn_to_centroids, scatter_basis, turned_mse, within_scatter
from methods.base import Assignments
from methods.joint import CentroidJointMethod, JointConfig
from models.autoencoder import ImageShape
from models.normalise import Normalise
from parts.backbone import Branch
from parts.in_place import renewed
from parts.initialisation import Centroids
from parts.phases import Batch, Compute, FitPhase, Objective, Phase
from parts.reset import CentroidPhaseSettings, resets


class Partition(Centroids):
    """What KMeans left behind: centroids, the basis V, and the target of every training image until the next one.

    Args:
        clusters: k.
        latent: d.
    """

    basis: Tensor

    def __init__(self, clusters: int, latent: int) -> None:
        super().__init__(clusters, latent, trained=False)
        self.register_buffer("basis", torch.eye(latent))
        self.target: Float[Tensor, "n d"] | None = None

    def aim(self, z: Float[Tensor, "n d"], labels: Int64[Tensor, " n"], basis: Float[Tensor, "d d"]) -> None:
        """Fix the basis, and the targets of all training images at their latents z."""
        self.basis.copy_(basis)
        self.target = renewed(self.target, drawn_to_centroids(z, self.centroids.to(z), labels, basis))

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


class DEKM(CentroidJointMethod):
    """Deep embedded k-means, as the top of this file describes it.

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

    def phases(self, images: Num[Tensor, "n c h w"], compute: Compute) -> Sequence[Phase]:
        """pretrain: the backbone. initialise: KMeans on z. cluster: the alternation. assign: its last KMeans."""
        settings, backbone, partition = self.config.cluster, self.backbone, self.partition
        k, seed, initialise = self.config.clusters, self.config.seed, self.config.initialise

        def recluster() -> tuple[Float[Tensor, "n d"], Int64[Tensor, " n"]]:
            z = compute.map(backbone.encode, images)
            # From the last centroids, so that clusters keep their numbers and changes can be counted.
            found = compute.once(lambda: kmeans(compute.place(z), k, initialise, seed, partition.centroids))
            partition.place(found.centroids)
            return z, found.labels

        def refresh() -> Int64[Tensor, " n"]:
            z, labels = recluster()
            scatter = within_scatter(z, partition.centroids.cpu(), labels)
            # By one process: another machine's solver could turn a column round.
            basis = compute.once(lambda: scatter_basis(scatter))
            partition.aim(z, labels, basis.to(z.dtype))
            return labels

        def settle() -> None:
            recluster()
            partition.target = None

        objective = DEKMObjective(backbone.normalise, backbone.branch(False), partition)
        training = self.joint_training(images, compute)
        return (
            *training.pretrain(),
            training.initialise_centroids(initialise, partition),
            training.cluster(
                settings, objective, refresh, tol=settings.tol, restart=resets(training, settings, partition, refresh)
            ),
            FitPhase("assign", partition, settle),
        )

    def assign_embedded(self, z: Float[Tensor, "n d"]) -> Assignments:
        """The nearest centroid."""
        return Assignments(nearest_centroid(z, self.centroid_positions())[0])

    def criteria(self, z: Float[Tensor, "n d"]) -> dict[str, float]:
        """inertia: the sum of squared distances to the nearest centroid, in float64."""
        return {"inertia": inertia(z, self.centroid_positions())}

    @property
    def centroids(self) -> Centroids:
        return self.partition


class DEKMSettings(CentroidPhaseSettings):
    """The clustering phase, which trains the encoder alone."""

    update_interval: PositiveInt = 100
    """Steps between two KMeans of the whole training set, each of which makes new targets."""
    tol: Share = 0.005
    optimiser: OptimiserSettings = OptimiserSettings(learning_rate=1e-3)


class DEKMConfig(JointConfig):
    """Config of DEKM."""

    method: Literal["dekm"] = "dekm"
    initialise: KMeansClustererSettings = KMeansClustererSettings(redos=20)
    cluster: DEKMSettings = DEKMSettings()
