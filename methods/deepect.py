"""Deep embedded cluster tree (DeepECT): a binary tree of clusters that grows while the network trains.

1. An autoencoder is pretrained. KMeans with k = 2 on its latents z finds the first two leaves below the root.
2. Every latent is at the leaf whose centroid is nearest, and at all nodes above it. Network and centroids are trained
   on the reconstruction + L_NC, which moves a leaf's centroid to its latents, + L_DC, which draws latents to their
   nodes' centres in the direction of the siblings.
3. After each step the inner nodes' centres follow as weighted means. A leaf without latents of late is pruned.
4. Every `growth.interval` epochs the leaf with the largest sum of squared distances is split by KMeans with k = 2,
   until there are `clusters` leaves.
5. The answer is the nearest leaf. The tree says which leaves belong together.

Source: Mautz, Plant, Böhm, "Deep Embedded Cluster Tree", ICDM 2019, and "DeepECT: The Deep Embedded Cluster Tree", Data
Science and Engineering 2020.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Literal

import torch
from jaxtyping import Float, Int64, Num
from pydantic import Field
from torch import Tensor, nn

from configs.schema import AugmentationSettings, PositiveFloat, PositiveInt, Settings
from data.augmentation import Augmentation
from estimators.kmeans import inertia, nearest_centroid
from estimators.settings import KMeansClustererSettings
from losses.deepect import data_compression_loss, node_centre_loss
from methods.base import Assignments
from methods.joint import CentroidJointMethod, JointConfig
from models.autoencoder import ImageShape
from models.normalise import Normalise
from parts.backbone import Branch
from parts.cluster_tree import ClusterTree
from parts.initialisation import Centroids
from parts.joint_training import ClusteringPhaseSettings
from parts.phases import Batch, Compute, FitPhase, Objective, Phase, epochs_needed
from parts.tree_growth import TreeGrowth


class DeepECTObjective(Objective):
    """The network's own loss + weight · (L_NC + L_DC).

    With augmentation (DeepECT + Aug) the network sees every image twice, changed and clean. The clean one says at which
    nodes both are; the losses are means over the two.

    Args:
        normalise: of pixels.
        branch: the network, with its own losses.
        tree: of the clusters.
        settings: of the phase.
        compute: the machine.
    """

    def __init__(
        self, normalise: Normalise, branch: Branch, tree: ClusterTree, settings: DeepECTSettings, compute: Compute
    ) -> None:
        super().__init__()
        self.normalise = normalise
        self.branch = branch
        self.tree = tree
        self.augmentation = Augmentation(settings.augmentation) if settings.augments else None
        self.weight = settings.weight
        self.rate_factors = {"tree": settings.centroid_rate}
        self.compute = compute

    def forward(self, batch: Batch) -> dict[str, Float[Tensor, ""]]:
        clean = self.normalise.unit(batch.images)
        views = [clean] if self.augmentation is None else [clean, self.augmentation(clean, batch.noise)]
        seen = [self.branch(self.normalise.standardise(view), batch.noise) for view in views]
        nearest = self.tree.nearest(seen[0].z.detach())
        latents = torch.stack([z for z, _ in seen])  # (v, b, d)
        own = {name: torch.stack([losses[name] for _, losses in seen]).mean(dim=0) for name in seen[0].own}
        centre = self._centre_loss(latents.detach().mean(dim=0), nearest)
        compression = data_compression_loss(
            latents.flatten(0, 1),
            self.tree.inside(nearest).repeat(len(views), 1),
            self.tree.centres(),
            self.tree.siblings,
            self.tree.paired,
        )
        loss = self.weight * (centre + compression)
        for value in own.values():
            loss = loss + value
        return {"loss": loss, "centre": centre, "compression": compression, **own}

    def _centre_loss(self, z: Float[Tensor, "b d"], nearest: Int64[Tensor, " b"]) -> Float[Tensor, ""]:
        """L_NC of the whole batch, in which every process counts the latents of all."""
        z, nearest = self.compute.together(z), self.compute.together(nearest)
        self.tree.count(nearest)
        return node_centre_loss(self.tree.centroids, z, nearest, self.tree.leaves.sum())

    def after_step(self, batch: Batch) -> None:
        self.tree.age()


class DeepECT(CentroidJointMethod):
    """Deep embedded cluster tree, as the top of this file describes it.

    Args:
        config: of the run.
        shape: of the images.

    Raises:
        ModelError: when the network does not fit the images.
    """

    def __init__(self, config: DeepECTConfig, shape: ImageShape) -> None:
        super().__init__(config, shape)
        self.config = config
        self.leaves = ClusterTree(config.clusters, self.backbone.latent, config.cluster.prune_below)

    def phases(self, images: Num[Tensor, "n c h w"], compute: Compute) -> Sequence[Phase]:
        """pretrain: the backbone. initialise: two leaves. cluster: reconstruction, L_NC and L_DC; the tree grows."""
        settings, backbone, tree, k = self.config.cluster, self.backbone, self.leaves, self.config.clusters
        size, between = min(settings.batch_size, len(images)), settings.growth
        growth = TreeGrowth(tree, backbone.encode, images, compute, self.config.initialise, self.config.seed, size)
        interval = epochs_needed(len(images), size, between.interval, between.min_steps)

        def restart(epoch: int) -> Sequence[nn.Parameter]:
            return tuple(tree.parameters()) if epoch % interval == 0 and growth.grow() else ()

        objective = DeepECTObjective(backbone.normalise, backbone.branch(True), tree, settings, compute)
        training = self.joint_training(images, compute)
        cluster = training.cluster(settings, objective, growth.assign, restart=restart)
        # `clusters=0`: the tree starts with two leaves, and those to come are not missing.
        cluster = replace(cluster, epochs=(k - 2) * interval + cluster.epochs, clusters=0)
        return *training.pretrain(), FitPhase("initialise", tree, growth.plant), cluster

    def assign_embedded(self, z: Float[Tensor, "n d"]) -> Assignments:
        """The nearest leaf."""
        return Assignments(nearest_centroid(z, self.centroid_positions())[0])

    def criteria(self, z: Float[Tensor, "n d"]) -> dict[str, float]:
        """inertia: the sum of squared distances to the nearest leaf, in float64."""
        return {"inertia": inertia(z, self.centroid_positions())}

    def centroid_positions(self) -> Float[Tensor, "k d"]:
        """The centroids of the leaves that there are, on the CPU."""
        return super().centroid_positions()[self.leaves.leaves.cpu()]

    def tree(self) -> Int64[Tensor, "merges 2"]:
        """How the leaves come together, as `TreeMethod` has it."""
        return self.leaves.merges()

    @property
    def clusters(self) -> int:
        """How many leaves there are: `clusters` of the config at most."""
        return int(self.leaves.leaves.sum())

    @property
    def centroids(self) -> Centroids:
        return self.leaves


class GrowthSettings(Settings):
    """When the tree grows: by one leaf at a time."""

    interval: PositiveInt = 2
    """Epochs between two splits."""
    min_steps: Annotated[int, Field(ge=0)] = 250
    """As many epochs more as a small data set needs to reach this number of steps between two splits."""


class DeepECTSettings(ClusteringPhaseSettings):
    """The clustering phase. `max_epochs` and `min_steps` are those after the last split."""

    weight: PositiveFloat = 1.0
    """Of L_NC + L_DC beside the network's own loss."""
    centroid_rate: PositiveFloat = 10.0
    """Factor on the learning rate of the centroids. Adam moves them by about one rate a step, however far they are from
    their latents; the paper's 40,000 steps are enough for 1."""
    growth: GrowthSettings = GrowthSettings()
    prune_below: PositiveFloat = 0.1
    """A leaf with a smaller weight is pruned: 0.1 is reached four steps after a weight of 1 without any latent."""
    augmentation: AugmentationSettings = AugmentationSettings()
    """Of the images that the network is trained on beside the clean ones (DeepECT + Aug)."""

    @property
    def augments(self) -> bool:
        """Whether any augmentation is on."""
        return self.augmentation != AugmentationSettings()


class DeepECTConfig(JointConfig):
    """Config of DeepECT. `clusters` is the number of leaves at which the tree stops growing."""

    method: Literal["deepect"] = "deepect"
    initialise: KMeansClustererSettings = KMeansClustererSettings(redos=20)
    """Of the first two leaves, and of every split."""
    cluster: DeepECTSettings = DeepECTSettings()
