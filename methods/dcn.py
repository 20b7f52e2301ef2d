"""Deep clustering network (DCN): a latent space that suits KMeans, with centroids that are running means.

1. An autoencoder is pretrained. KMeans on its latents z finds the centroids M and the assignments s.
2. A gradient step on a batch trains the network on its reconstruction + λ/2 · |z_i - M s_i|², with M and s fixed.
3. Every image of the batch goes to its nearest centroid, and every centroid becomes the mean of all latents that were
   assigned to it so far (section 4).
4. It ends when fewer than `tol` of all assignments change. The answer is the nearest centroid.

Source: Yang, Fu, Sidiropoulos, Hong, "Towards K-means-friendly Spaces: Simultaneous Deep Learning and Clustering",
ICML 2017 (DCN).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import torch
from jaxtyping import Float, Int64, Num
from torch import Tensor
from torch.nn import functional

from configs.schema import PositiveFloat, PositiveInt, Share
from estimators.kmeans import inertia, nearest_centroid
from estimators.settings import KMeansClustererSettings
from losses.dcn import assigned_distance
from losses.squared_distances import squared_distances
from methods.base import Assignments
from methods.joint import CentroidJointMethod, JointConfig
from models.autoencoder import ImageShape
from parts.backbone import Branch
from parts.in_place import renewed
from parts.initialisation import Centroids
from parts.phases import Batch, Compute, Objective, Phase
from parts.reset import resets
from parts.training_views import AugmentedPhaseSettings, TrainingViews


class RunningMeans(Centroids):
    """Centroids M, how many latents each is the mean of, and the present cluster s of every training image.

    All are part of the state: no gradient trains them, and the latents that they were made from are gone.

    Args:
        clusters: k.
        latent: d.
    """

    counts: Tensor

    def __init__(self, clusters: int, latent: int) -> None:
        super().__init__(clusters, latent, trained=False)
        self.register_buffer("counts", torch.zeros(clusters, dtype=torch.int64))
        self.labels: Int64[Tensor, " n"] | None = None

    def place(self, centroids: Float[Tensor, "k d"]) -> None:
        """Begin anew at these centroids. Until `count` they are the means of nothing."""
        super().place(centroids)
        self.counts.zero_()
        self.labels = None

    def count(self, labels: Int64[Tensor, " n"], first: int | None = None) -> None:
        """Take these clusters of all training images, and their sizes as the counts, or `first` for every one."""
        self.labels = renewed(self.labels, labels)
        sizes = torch.bincount(labels, minlength=len(self.counts))
        self.counts.copy_(sizes if first is None else torch.full_like(sizes, first))

    def assigned(self, indices: Int64[Tensor, " b"]) -> Float[Tensor, "b d"]:
        """M s_i: the centroids of the training images at `indices`."""
        return self.centroids[self._labels(indices.device)[indices]]

    def update(self, z: Float[Tensor, "b d"], indices: Int64[Tensor, " b"]) -> None:
        """Assign the latents of the images at `indices`, and move the centroids (DCN, section 4).

        Each latent goes to the nearest of the centroids as they stand, then m ← m + (z - m) / c, where c counts the
        latents assigned to m so far, this one included: m stays the mean of them all. Done for the batch at once, which
        is the same as one latent after the other. A cluster without latents stays where it is.
        """
        nearest = squared_distances(z, self.centroids).argmin(dim=1)
        members = functional.one_hot(nearest, len(self.counts)).to(z.dtype)  # (b, k)
        new = members.sum(dim=0)
        self.counts += new.long()
        shift = members.T @ z - new.unsqueeze(1) * self.centroids  # (k, d), sums over the members of z - m
        self.centroids += shift / self.counts.clamp_min(1).unsqueeze(1)
        self._labels(indices.device)[indices] = nearest

    def _labels(self, device: torch.device) -> Int64[Tensor, " n"]:
        assert self.labels is not None, "all images are assigned before the first step"
        self.labels = self.labels.to(device)
        return self.labels

    def get_extra_state(self) -> dict[str, Tensor | None]:
        return {"labels": self.labels}

    def set_extra_state(self, state: dict[str, Tensor | None]) -> None:
        self.labels = state["labels"]


class DCNObjective(Objective):
    """The network's own loss + weight/2 · mean |z_i - M s_i|², with centroids M and assignments s held fixed.

    After the optimiser's step on a batch, assignments and centroids follow the new weights.

    Args:
        views: of a batch, for the gradient step.
        branch: the network, with its own losses.
        means: M and s.
        weight: λ, divided by the pixels where the network's own loss is a mean over them.
        encode: images to latents without noise.
        compute: the machine.
    """

    def __init__(
        self,
        views: TrainingViews,
        branch: Branch,
        means: RunningMeans,
        weight: float,
        encode: Callable[[Tensor], Tensor],
        compute: Compute,
    ) -> None:
        super().__init__()
        self.views = views
        self.branch = branch
        self.means = means
        self.weight = weight
        self.encode = encode
        self.compute = compute

    def forward(self, batch: Batch) -> dict[str, Float[Tensor, ""]]:
        return self.views.mean_losses(lambda x: self._losses(x, batch), batch)

    def _losses(self, x: Float[Tensor, "b c h w"], batch: Batch) -> dict[str, Float[Tensor, ""]]:
        z, own = self.branch(x, batch.noise)
        clustering = assigned_distance(z, self.means.assigned(batch.indices))
        loss = self.weight / 2 * clustering
        for value in own.values():
            loss = loss + value
        return {"loss": loss, "clustering": clustering, **own}

    def after_step(self, batch: Batch) -> None:
        self.eval()
        z = self.encode(batch.images)
        self.train()
        # Every process sees the latents of the whole batch, and moves its centroids as the others do theirs.
        self.means.update(self.compute.together(z), self.compute.together(batch.indices))


class DCN(CentroidJointMethod):
    """Deep clustering network, as the top of this file describes it.

    Args:
        config: of the run.
        shape: of the images.

    Raises:
        ModelError: when the network does not fit the images.
    """

    def __init__(self, config: DCNConfig, shape: ImageShape) -> None:
        super().__init__(config, shape)
        self.config = config
        self.means = RunningMeans(config.clusters, self.backbone.latent)

    def phases(self, images: Num[Tensor, "n c h w"], compute: Compute) -> Sequence[Phase]:
        """pretrain: the backbone. initialise: KMeans on z. cluster: reconstruction and distance to the centroids."""
        settings, backbone, means = self.config.cluster, self.backbone, self.means

        def assign_all() -> Int64[Tensor, " n"]:
            labels = nearest_centroid(compute.place(compute.map(backbone.encode, images)), means.centroids)[0].cpu()
            if means.labels is None:  # centroids have just been placed
                means.count(labels, settings.first_count)
            return labels

        objective = DCNObjective(
            TrainingViews(backbone.normalise, settings),
            backbone.branch(True),
            means,
            settings.weight / backbone.averaged,
            backbone.encode,
            compute,
        )
        training = self.joint_training(images, compute)
        return (
            *training.pretrain(),
            training.initialise_centroids(self.config.initialise, means),
            training.cluster(
                settings, objective, assign_all, tol=settings.tol, restart=resets(training, settings, means, assign_all)
            ),
        )

    def assign_embedded(self, z: Float[Tensor, "n d"]) -> Assignments:
        """The nearest centroid."""
        return Assignments(nearest_centroid(z, self.centroid_positions())[0])

    def criteria(self, z: Float[Tensor, "n d"]) -> dict[str, float]:
        """inertia: the sum of squared distances to the nearest centroid, in float64."""
        return {"inertia": inertia(z, self.centroid_positions())}

    @property
    def centroids(self) -> Centroids:
        return self.means


class DCNSettings(AugmentedPhaseSettings):
    """The clustering phase. The loss is the network's own (the reconstruction) + λ/2 · |z - its centroid|².

    Where the network's own loss is a mean over pixels, an autoencoder's, so is λ's term: it is divided by their number.
    """

    weight: PositiveFloat = 2.0
    """λ, beside an error summed over pixels, as in the paper: it means the same for images of any size."""
    first_count: PositiveInt | None = None
    """How many latents a centroid counts for at the start; None: as many as its cluster has."""
    update_interval: PositiveInt = 140
    """Steps between two assignments of the whole training set, in which changes are counted. Training does not use
    them: an image's cluster is updated whenever it is in a batch."""
    tol: Share = 0.001


class DCNConfig(JointConfig):
    """Config of DCN."""

    method: Literal["dcn"] = "dcn"
    initialise: KMeansClustererSettings = KMeansClustererSettings(redos=20)
    cluster: DCNSettings = DCNSettings()
