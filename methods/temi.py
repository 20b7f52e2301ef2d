"""TEMI: heads on a resting feature learn that an image and its neighbours are of one cluster, each from its teacher.

1. An encoder rests: a network that others trained, or one that is trained here on pairs of views.
2. The nearest images of every image are found in its feature.
3. Heads, each with a teacher that is the moving average of itself, maximise a point-wise mutual information between an
   image and a neighbour. Pairs count by how sure all teachers are that they are of one cluster.
4. The teacher of lowest own loss over all images gives the clusters.

Source: Adaloglou, Michels, Kalisch, Kollmann, "Exploring the Limits of Deep Image Clustering using Pretrained Models",
BMVC 2023.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import torch
from jaxtyping import Float, Int64, Num
from pydantic import Field
from torch import Tensor, nn

from configs.schema import OptimiserSettings, PositiveFloat, PositiveInt
from losses.temi import pair_weight, pointwise_mutual_information
from methods.contrastive import NeighbourHeads, SizePriorConfig
from models.autoencoder import ImageShape
from models.batched import BATCH_SIZE
from models.projected_heads import ProjectedHeads
from parts.neighbourhood import Neighbourhood
from parts.neighbours_phase import neighbours_phase
from parts.phases import Batch, Compute, FitPhase, GradientPhase, Objective, Phase, epochs_needed
from parts.size_prior import MeanSizes, Momentum, SizePrior, SizePriorSettings
from parts.training_features import TrainingFeatures

WALKS = 10
"""Neighbours of every image, drawn at random, by which heads are compared at the end."""


class ClusterSettings(SizePriorSettings):
    """Heads on the resting feature, and their teachers."""

    heads: PositiveInt = 10
    """Heads that are trained at a time, of which the one of lowest loss is taken."""
    hidden: PositiveInt = 128
    """Width of a head's first layer."""
    bottleneck: PositiveInt = 64
    """Width of its second layer, before the prototypes."""
    neighbours: PositiveInt = 50
    """Nearest images in the feature, of which one is drawn in each step."""
    beta: PositiveFloat = 0.6
    """β: below 1, so that not all images end in one cluster."""
    temperature: PositiveFloat = 0.1
    """Of the softmax over the clusters, student's and teacher's."""
    teacher: Momentum = 0.996
    """Momentum of the teacher, the moving average of the student."""
    sizes: Momentum = 0.9
    """Momentum of the cluster sizes, the moving average of what the teacher says of a batch."""
    epochs: PositiveInt = 30
    min_steps: Annotated[int, Field(ge=0)] = 2000
    """As many epochs more as a small data set needs to reach this number of steps."""
    batch_size: PositiveInt = 512
    """Images a step, each with a neighbour."""
    optimiser: OptimiserSettings = OptimiserSettings(name="adamw", learning_rate=1e-3, weight_decay=1e-4)


class TEMIConfig(SizePriorConfig):
    """Config of TEMI."""

    method: Literal["temi"] = "temi"
    cluster: ClusterSettings = ClusterSettings()


class TeacherObjective(Objective):
    """-w·PMI of an image and a neighbour, in both directions, each head for itself and weighted by all teachers.

    Args:
        students: r heads, trained.
        teachers: as many, which follow them.
        neighbourhood: of the training images.
        features: of the training images.
        settings: of the step.
        sizes: q̃_t of every head, which every step moves.
        compute: the machine: cluster sizes are those of the whole batch, whatever the number of processes.
    """

    def __init__(
        self,
        students: ProjectedHeads,
        teachers: ProjectedHeads,
        neighbourhood: Neighbourhood,
        features: TrainingFeatures,
        settings: ClusterSettings,
        sizes: MeanSizes,
        compute: Compute,
    ) -> None:
        super().__init__()
        self.students, self.teachers = students, teachers
        self.neighbourhood, self.features = neighbourhood, features
        self.settings, self.sizes, self.compute = settings, sizes, compute
        self.prior = SizePrior(settings, *sizes.shares.shape)

    def forward(self, batch: Batch) -> dict[str, Float[Tensor, ""]]:
        partners = self.neighbourhood.partners(batch.indices, batch.noise.uniform(1))
        z = self.features(batch.indices.device)
        pair = torch.cat([z[batch.indices], z[partners]])
        with torch.no_grad():
            taught = self.teachers(pair)
            self.sizes.follow(self.compute.pooled(taught.exp().mean(dim=1)))
        losses = self.losses(self.students(pair), taught)  # (r,)
        # The sum, so that a head is trained as it would be alone.
        return {"loss": losses.sum(), "lowest": self.compute.pooled(losses.detach()).min()}

    def after_step(self, batch: Batch) -> None:
        self.teachers.follow(self.students, self.settings.teacher)

    def losses(self, learned: Float[Tensor, "r m k"], taught: Float[Tensor, "r m k"]) -> Float[Tensor, " r"]:
        """Every head's loss on pairs: the first half of the m images, and the second half, their neighbours.

        Args:
            learned: log q of the students.
            taught: log q of the teachers.
        """
        (first, second), (here, there) = learned.chunk(2, dim=1), taught.chunk(2, dim=1)
        beta, sizes = self.settings.beta, self._relative_sizes()
        information = pointwise_mutual_information(first, there, sizes, beta)
        back = pointwise_mutual_information(second, here, sizes, beta)
        return -(pair_weight(here, there) * (information + back) / 2).mean(dim=1)

    def _relative_sizes(self) -> Float[Tensor, "r k"]:
        """Sizes over k times those expected. Of sure pairs the mean loss then is the divergence of the sizes from the
        prior, less log k: where the prior is uniform, minus the entropy of the sizes, as in the paper."""
        sizes = self.sizes.shares
        return sizes if self.prior.is_uniform else sizes / (sizes.shape[1] * self.prior.given(sizes))

    @torch.no_grad()
    def own_losses(self, seed: int) -> Float[Tensor, " r"]:
        """Every head's loss over all training images, each with the same neighbours for all heads; on the CPU."""
        z = self.features(self.sizes.shares.device)
        generator = torch.Generator().manual_seed(seed)  # the same neighbours on any device
        everyone = torch.arange(len(z), device=z.device)
        total = torch.zeros(len(self.sizes.shares), device=z.device)
        for _ in range(WALKS):
            ends = self.neighbourhood.partners(everyone, torch.rand(len(z), 1, generator=generator).to(z.device))
            for part, other in zip(torch.split(everyone, BATCH_SIZE), torch.split(ends, BATCH_SIZE), strict=True):
                total += self._sum(z, part, other)
        return (total / (WALKS * len(z))).cpu()

    def _sum(
        self, z: Float[Tensor, "n d"], images: Int64[Tensor, " b"], others: Int64[Tensor, " b"]
    ) -> Float[Tensor, " r"]:
        pair = torch.cat([z[images], z[others]])
        return self.losses(self.students(pair), self.teachers(pair)) * len(images)


class TEMI(NeighbourHeads[ProjectedHeads]):
    """TEMI, as the top of this file describes it.

    Args:
        config: of the run.
        shape: of the images.

    Raises:
        ModelError: when the network does not fit the images, or one of others is not to be had.
    """

    def __init__(self, config: TEMIConfig, shape: ImageShape) -> None:
        super().__init__(config, shape)
        self.config = config
        cluster = config.cluster
        sizes = (self.backbone.latent, cluster.hidden, cluster.bottleneck, config.clusters)
        self.students = ProjectedHeads(cluster.heads, *sizes, cluster.temperature)
        self.teachers = ProjectedHeads(cluster.heads, *sizes, cluster.temperature).requires_grad_(False)
        self.teachers.follow(self.students, 0.0)
        self.head = ProjectedHeads(1, *sizes, cluster.temperature)
        self.mean_sizes = MeanSizes(cluster.heads, config.clusters, cluster.sizes)

    def phases(self, images: Num[Tensor, "n c h w"], compute: Compute) -> Sequence[Phase]:
        """pretrain, or represent-frozen. neighbours: in the feature. cluster: the heads. select: one."""
        cluster, seed = self.config.cluster, self.config.seed
        features = TrainingFeatures(self.backbone.points, images, compute)
        neighbourhood, head, teachers, k = self.neighbourhood, self.head, self.teachers, self.config.clusters
        objective = TeacherObjective(
            self.students, teachers, neighbourhood, features, cluster, self.mean_sizes, compute
        )

        def select() -> None:
            features()  # by all processes, before one is alone
            losses = compute.once(lambda: objective.own_losses(seed))
            head.take(teachers, int(losses.argmin()))
            neighbourhood.own_losses = losses

        return (
            *self.backbone.phases(images, compute),
            neighbours_phase(neighbourhood, self.free_sizes, features, cluster.neighbours, k, seed, compute),
            GradientPhase(
                name="cluster",
                module=objective,
                optimiser=cluster.optimiser,
                epochs=epochs_needed(len(images), cluster.batch_size, cluster.epochs, cluster.min_steps),
                batch_size=cluster.batch_size,
            ),
            FitPhase("select", nn.ModuleDict({"head": head, "neighbourhood": neighbourhood}), select),
        )
