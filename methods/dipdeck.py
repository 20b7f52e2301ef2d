"""DipDECK: too many clusters to begin with, and merges while the dip test finds one mode in two of them.

1. An autoencoder is pretrained. KMeans on its latents finds `start` clusters, more than are expected. Each has a
   centre, the image whose latent is nearest to the mean of the cluster.
2. For every pair of clusters the latents of both are projected onto the axis between their centres. The dip test gives
   a p-value: near 1 where they have one mode, near 0 where they have two.
3. For an epoch the reconstruction is trained, and latents are drawn to the centre of their cluster, and to other
   centres by their p-values. Centres are images, so their latents move with the encoder.
4. Clusters, centres and p-values are found anew. The pair of the largest p-value is merged, as long as it is
   `threshold` or more. Steps 3 and 4 are repeated, until no merge has happened for `epochs` epochs.

The answer is the nearest centre.

Source: Leiber, Bauer, Schelling, Böhm, Plant, "Dip-based Deep Embedded Clustering with k-Estimation", KDD 2021.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import torch
from jaxtyping import Bool, Float, Int64, Num
from pydantic import Field
from torch import Tensor, nn

from configs.schema import OptimiserSettings, PositiveFloat, PositiveInt, Settings
from estimators.dip_merging import DipPartition, compared, merge_alike
from estimators.kmeans import inertia, nearest_centroid
from estimators.settings import KMeansClustererSettings
from losses.dipdeck import cluster_relations, inverse_spacing, related_distance
from losses.squared_distances import squared_distances
from methods.base import Assignments
from methods.joint import JointMethod, OpenJointConfig
from models.autoencoder import ImageShape
from models.batched import map_batches
from models.normalise import Normalise
from parts.backbone import Backbone, Branch
from parts.in_place import renewed
from parts.initialisation import fit_clusterer
from parts.phases import Batch, Compute, FitPhase, GradientPhase, Objective, Phase, epochs_needed

UNTRAINED = -1
REMEDY = "raise cluster.threshold, or pretrain longer"


class DipClusters(nn.Module):
    """What the last update left behind. A table of fixed size, in which a cluster keeps its place as long as it lives.

    Attributes:
        centres: (c, ...), uint8, the image that is a cluster's centre.
        alive: (c,), bool, which clusters there are.
        p: (c, c), the p-value of the dip test for every pair of them.
        age: epochs since the last merge; `UNTRAINED` before the first.
        labels: (n,), int64, the cluster of every training image.
    """

    centres: Tensor
    alive: Tensor
    p: Tensor
    age: Tensor

    def __init__(self, start: int, shape: ImageShape) -> None:
        super().__init__()
        dtype = torch.float32 if shape.is_point else torch.uint8
        self.register_buffer("centres", torch.zeros(start, *shape, dtype=dtype))
        self.register_buffer("alive", torch.zeros(start, dtype=torch.bool))
        self.register_buffer("p", torch.zeros(start, start))
        self.register_buffer("age", torch.tensor(UNTRAINED))
        self.labels: Int64[Tensor, " n"] | None = None

    def place(self, found: DipPartition, images: Num[Tensor, "n c h w"], age: int) -> None:
        """Keep what an update found among the training images."""
        self.centres.copy_(images[found.centres.to(images.device)])
        self.alive.copy_(found.alive)
        self.p.copy_(found.p)
        self.age.fill_(age)
        self.labels = renewed(self.labels, found.labels)

    def rows(self, indices: Int64[Tensor, " b"]) -> Int64[Tensor, " b"]:
        """The clusters of the images at `indices`, on their device."""
        assert self.labels is not None, "clusters are placed before the first step"
        self.labels = self.labels.to(indices.device)
        return self.labels[indices]

    @property
    def living(self) -> Num[Tensor, "k c h w"]:
        """The centres of the clusters that there are."""
        return self.centres[self.alive]

    def get_extra_state(self) -> dict[str, Tensor | None]:
        return {"labels": self.labels}

    def set_extra_state(self, state: dict[str, Tensor | None]) -> None:
        self.labels = state["labels"]


class DipDECKObjective(Objective):
    """The network's own losses, and γ times the clustering loss of `losses.dipdeck`.

    In the first epoch after a merge latents belong to the clusters that they had then; afterwards to the nearest
    centre.

    Args:
        normalise: of pixels.
        branch: images to z, with the network's own losses.
        encoder: images to z alone, by the same weights; for the centres.
        clusters: what the last update found.
        gamma: γ, the weight of the clustering loss.
    """

    def __init__(
        self, normalise: Normalise, branch: Branch, encoder: Branch, clusters: DipClusters, gamma: float
    ) -> None:
        super().__init__()
        self.normalise, self.branch, self.encoder = normalise, branch, encoder
        self.clusters, self.gamma = clusters, gamma

    def forward(self, batch: Batch) -> dict[str, Float[Tensor, ""]]:
        z, own = self.branch(self.normalise(batch.images), batch.noise)
        centres, _ = self.encoder(self.normalise(self.clusters.centres), batch.noise)
        alive, squared = self.clusters.alive, squared_distances(z, centres)
        nearest = squared.masked_fill(~alive, torch.inf).argmin(dim=1)
        labels = torch.where(self.clusters.age > 0, nearest, self.clusters.rows(batch.indices))
        relations = cluster_relations(self.clusters.p, alive)
        clustering = inverse_spacing(centres, alive) * related_distance(squared, labels, relations)
        return {"loss": sum(own.values()) + self.gamma * clustering, "clustering": clustering, **own}


class Merging:
    """Merges after every epoch, until there were none for long enough.

    Args:
        backbone: images to z.
        table: what the last update found.
        settings: of the merges.
        images: the training images.
        compute: the machine: one process tests and merges for all.

    Attributes:
        patience: epochs without a merge, after which the phase ends.
    """

    def __init__(
        self,
        backbone: Backbone,
        table: DipClusters,
        settings: ClusterSettings,
        images: Num[Tensor, "n c h w"],
        compute: Compute,
    ) -> None:
        self.backbone, self.table, self.settings = backbone, table, settings
        self.images, self.compute = images, compute
        self.patience = epochs_needed(len(images), settings.batch_size, settings.epochs, settings.min_steps)

    @property
    def longest(self) -> int:
        """The latest end, in epochs: every merge but the last leaves two clusters, and each waits as long as it may."""
        return self.settings.start * self.patience + 1

    def refresh(self) -> Int64[Tensor, " n"]:
        """After an epoch: clusters, centres and p-values are found anew, and what is alike is merged."""
        if int(self.table.age) == UNTRAINED:
            self.table.age.fill_(0)
        else:
            self._update()
        return renumbered(self.table)

    def finished(self) -> str | None:
        """Why the phase ends, once it does."""
        age, k = int(self.table.age), int(self.table.alive.sum())
        if k == 1:
            return "one cluster is left"
        return f"{k} clusters, none merged for {age} epochs" if age >= self.patience else None

    def _update(self) -> None:
        z = self.compute.map(self.backbone.encode, self.images)
        centres = map_batches(self.backbone.encode, self.table.centres, self.table.centres.device)
        alive = self.table.alive.cpu()
        found = self.compute.once(lambda: self._merged(z, centres, alive))
        fewer = not torch.equal(found.alive, alive)
        self.table.place(found, self.images, 0 if fewer else int(self.table.age) + 1)

    def _merged(
        self, z: Float[Tensor, "n d"], centres: Float[Tensor, "c d"], alive: Bool[Tensor, " c"]
    ) -> DipPartition:
        factor = self.settings.size_factor
        nearest = nearest_centroid(z, centres[alive])[0]
        found = compared(z, alive.nonzero().flatten()[nearest], self.settings.start, factor)
        merge_alike(found, z, self.settings.threshold, factor)
        return found


class DipDECK(JointMethod):
    """DipDECK, as the top of this file describes it.

    Args:
        config: of the run.
        shape: of the images.

    Raises:
        ModelError: when the network does not fit the images, or has no decoder.
    """

    def __init__(self, config: DipDECKConfig, shape: ImageShape) -> None:
        super().__init__(config, shape)
        self.config = config
        self.table = DipClusters(config.cluster.start, shape)

    def phases(self, images: Num[Tensor, "n c h w"], compute: Compute) -> Sequence[Phase]:
        """pretrain: the backbone. initialise: KMeans on z, and the first p-values. cluster: training and merges."""
        settings, backbone, table = self.config.cluster, self.backbone, self.table
        initialise, seed = self.config.initialise, self.config.seed
        start, factor = settings.start, settings.size_factor

        def begin() -> None:
            z = compute.map(backbone.encode, images)
            clusterer = fit_clusterer(initialise, z, min(start, len(z)), seed, compute)
            labels = nearest_centroid(z, clusterer.centroids)[0]
            table.place(compute.once(lambda: compared(z, labels, start, factor)), images, UNTRAINED)

        # γ weighs against a sum over pixels, where the backbone's own loss is their mean.
        gamma = settings.gamma / backbone.averaged
        objective = DipDECKObjective(backbone.normalise, backbone.branch(True), backbone.branch(False), table, gamma)
        merging = Merging(backbone, table, settings, images, compute)
        return (
            *self.joint_training(images, compute).pretrain(),
            FitPhase("initialise", table, begin),
            GradientPhase(
                name="cluster",
                module=objective,
                optimiser=settings.optimiser,
                epochs=merging.longest,
                batch_size=settings.batch_size,
                refresh=merging.refresh,
                refresh_interval=max(len(images) // settings.batch_size, 1),
                finished=merging.finished,
            ),
        )

    def assign_embedded(self, z: Float[Tensor, "n d"]) -> Assignments:
        """The nearest centre."""
        return Assignments(nearest_centroid(z, self.centroid_positions())[0])

    def criteria(self, z: Float[Tensor, "n d"]) -> dict[str, float]:
        """inertia: the sum of squared distances to the nearest centre, in float64."""
        return {"inertia": inertia(z, self.centroid_positions())}

    def centroid_positions(self) -> Float[Tensor, "k d"]:
        """The latents of the centres, on the CPU."""
        return self.embed(self.table.living)

    @property
    def clusters(self) -> int:
        """How many clusters were found; before the fit, how many it begins with."""
        return int(self.table.alive.sum()) or self.config.cluster.start

    @property
    def notes(self) -> tuple[str, ...]:
        """How many clusters were found, and how near the next merge is: the largest p-value of two of them."""
        if self.table.labels is None:
            return super().notes
        p, cluster = float(self.table.p.max()), self.config.cluster
        begun = min(cluster.start, len(self.table.labels))
        if self.clusters == 1:
            merged = f"all {begun} clusters were merged into one, which tells no groups apart: {REMEDY}"
            return (*super().notes, merged)
        found = f"found {self.clusters} of {begun} clusters, largest p {p:.2f}"
        return (*super().notes, f"{found} (merged from {cluster.threshold:g})")


def renumbered(table: DipClusters) -> Int64[Tensor, " n"]:
    """The cluster of every training image, numbered 0 to k - 1 among those that there are; on the CPU."""
    assert table.labels is not None, "clusters are placed before the first step"
    return (table.alive.cumsum(dim=0) - 1).cpu()[table.labels.cpu()]


class ClusterSettings(Settings):
    """Clusters, merges, and the training between them."""

    start: Annotated[int, Field(ge=2)] = 35
    """Clusters to begin with, more than there may be; at most as many as images."""
    threshold: Annotated[float, Field(gt=0, le=1)] = 0.9
    """Two clusters become one at a p-value from here on."""
    size_factor: PositiveFloat = 2.0
    """Of a cluster more than so many times as large as the other, the nearest points are tested as well."""
    gamma: PositiveFloat = 1.0
    """Weight of the clustering loss beside the network's own, summed over the pixels."""
    epochs: PositiveInt = 10
    """Since the last merge, after which the phase ends."""
    min_steps: Annotated[int, Field(ge=0)] = 250
    """As many epochs more as a small data set needs to reach this number of steps."""
    batch_size: PositiveInt = 256
    optimiser: OptimiserSettings = OptimiserSettings(learning_rate=1e-4)


class DipDECKConfig(OpenJointConfig):
    """Config of DipDECK."""

    method: Literal["dipdeck"] = "dipdeck"
    initialise: KMeansClustererSettings = KMeansClustererSettings(redos=20)
    cluster: ClusterSettings = ClusterSettings()
