"""TURTLE: the labelling that linear classifiers generalise to best, over one or several spaces of features.

1. An encoder rests: one network that others trained or several, each with a space of its own, or one that is trained
   here on pairs of views. Histograms of oriented gradients may be one more space.
2. A labelling is a weight-normalised linear layer with softmax in every space, and the mean over the spaces. In every
   step linear classifiers take some steps towards the labelling, and the labelling takes one towards what they say,
   while its clusters are held to one size by their entropy.
3. Of several starts the one of lowest loss over all images gives the clusters.

Source: Gadetsky, Jiang, Brbić, "Let Go of Your Labels with Unsupervised Transfer", ICML 2024.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import torch
from jaxtyping import Float, Num
from pydantic import Field
from torch import Tensor, nn

from configs.schema import OptimiserSettings, PositiveFloat, PositiveInt, Settings
from losses.scan import marginal_divergence
from losses.turtle import mean_labelling, soft_cross_entropy
from methods.contrastive import ContrastiveConfig
from methods.joint import SoftAssignments
from models.autoencoder import ImageShape
from models.batched import BATCH_SIZE
from models.task_encoders import TaskEncoders
from parts.backbone import Backbone
from parts.free_sizes import NEIGHBOURS, FreeSizes
from parts.gradient_space import FeatureAndGradients, GradientCoordinates, GradientsSettings, side_by_side
from parts.hog_axes import HOGAxes, HOGAxesSettings
from parts.inner_classifiers import InnerClassifiers
from parts.phases import Batch, Compute, FitPhase, GradientPhase, Objective, Phase, epochs_needed
from parts.size_prior import SizePriorSettings
from parts.training_features import TrainingFeatures


class InnerSettings(Settings):
    """Linear classifiers, which are trained within each step of the labelling, by Adam."""

    steps: PositiveInt = 10
    """M: steps of theirs in each step of the labelling. They go on from where they are."""
    learning_rate: PositiveFloat = 1e-3


class ClusterSettings(Settings):
    """Labellings on the resting feature, and the classifiers that learn them."""

    starts: PositiveInt = 5
    """Labellings that are trained at a time, of which the one of lowest loss is taken."""
    gradients: GradientsSettings | None = None
    """Histograms of oriented gradients as one more space. None: the encoder's feature alone."""
    gamma: PositiveFloat = 10.0
    """γ: weight of the entropy of the cluster sizes, in every space."""
    inner: InnerSettings = InnerSettings()
    epochs: PositiveInt = 30
    min_steps: Annotated[int, Field(ge=0)] = 3000
    """As many epochs more as a small data set needs to reach this number of steps."""
    batch_size: PositiveInt = 512
    optimiser: OptimiserSettings = OptimiserSettings(name="adam", learning_rate=1e-3)


class TURTLEConfig(ContrastiveConfig):
    """Config of TURTLE."""

    method: Literal["turtle"] = "turtle"
    cluster: ClusterSettings = ClusterSettings()


class LabellingObjective(Objective):
    """Eq. 12: classifiers' error on the labelling, and γ times how far its sizes are from one another.

    By the first-order approximation of eq. 13 the classifiers are held while the labelling follows its gradient.

    Args:
        labellings: trained, r in every space.
        classifiers: as many, by space; they take their steps before each of the labellings'.
        features: of the training images.
        settings: of the step.
        compute: the machine: cluster sizes are those of the whole batch, whatever the number of processes.
    """

    def __init__(
        self,
        labellings: TaskEncoders,
        classifiers: nn.ModuleList,
        features: TrainingFeatures,
        settings: ClusterSettings,
        compute: Compute,
    ) -> None:
        super().__init__()
        self.labellings, self.classifiers, self.features = labellings, classifiers, features
        self.gamma, self.inner, self.compute = settings.gamma, settings.inner, compute

    def forward(self, batch: Batch) -> dict[str, Float[Tensor, ""]]:
        spaces = self.labellings.spaces(self.features(batch.indices.device)[batch.indices])
        log_labels = self.labellings(spaces)
        labels = mean_labelling(log_labels)
        for classifier, space in zip(self.classifiers, spaces, strict=True):
            classifier.learn(space, labels.detach(), self.inner.steps, self.compute)  # type: ignore[operator]
        errors = self._errors(spaces, labels)
        sizes = self.compute.pooled(log_labels.exp().mean(dim=2))  # (s, r, k)
        losses = errors + self.gamma * self._unevenness(sizes)  # (r,)
        # The sum, so that a labelling is trained as it would be alone.
        return {
            "loss": losses.sum(),
            "lowest": self.compute.pooled(losses.detach()).min(),
            "error": errors.mean(),
        }

    @torch.no_grad()
    def own_losses(self) -> Float[Tensor, " r"]:
        """Every start's loss over all training images, by its classifiers as they are; on the CPU."""
        z = self.features(next(self.labellings.parameters()).device)
        found = [self._sums(rows) for rows in torch.split(z, BATCH_SIZE)]
        errors, sizes = (torch.stack(sums).sum(dim=0) / len(z) for sums in zip(*found, strict=True))
        return (errors + self.gamma * self._unevenness(sizes)).cpu()

    def _sums(self, z: Float[Tensor, "n d"]) -> tuple[Float[Tensor, " r"], Float[Tensor, "s r k"]]:
        """The classifiers' errors and the cluster sizes, summed over images."""
        spaces = self.labellings.spaces(z)
        log_labels = self.labellings(spaces)
        return self._errors(spaces, mean_labelling(log_labels)) * len(z), log_labels.exp().sum(dim=2)

    def _errors(self, spaces: Sequence[Float[Tensor, "n _"]], labels: Float[Tensor, "r n k"]) -> Float[Tensor, " r"]:
        """Of the classifiers of all spaces together, the mean over images."""
        log_p = torch.stack([classifier(space) for classifier, space in zip(self.classifiers, spaces, strict=True)])
        return soft_cross_entropy(log_p, labels.expand_as(log_p)).sum(dim=0)

    def _unevenness(self, sizes: Float[Tensor, "s r k"]) -> Float[Tensor, " r"]:
        """log k less the entropy of the cluster sizes, of all spaces together."""
        k = sizes.shape[2]
        return marginal_divergence(sizes, torch.full((k,), 1 / k, device=sizes.device)).sum(dim=0)


class TURTLE(SoftAssignments):
    """TURTLE, as the top of this file describes it.

    Args:
        config: of the run.
        shape: of the images.

    Raises:
        ModelError: when the network does not fit the images, or one of others is not to be had.
    """

    def __init__(self, config: TURTLEConfig, shape: ImageShape) -> None:
        super().__init__(config, shape)
        self.config = config
        cluster, k, lengths_count = config.cluster, config.clusters, self.backbone.lengths_count
        self.coordinates: GradientCoordinates | None = None
        sizes = list(self.backbone.spaces)
        if cluster.gradients is not None:
            axes = HOGAxes(shape, HOGAxesSettings(**cluster.gradients.model_dump()))
            self.coordinates = GradientCoordinates(axes, self.backbone.normalise)
            sizes.append(axes.size)
        self.labellings = TaskEncoders(cluster.starts, sizes, k, lengths_count)
        rate = cluster.inner.learning_rate
        self.classifiers = nn.ModuleList(InnerClassifiers(cluster.starts, size, k, rate) for size in sizes)
        self.labelling = TaskEncoders(1, sizes, k, lengths_count)
        self.free_sizes = FreeSizes()

    def phases(self, images: Num[Tensor, "n c h w"], compute: Compute) -> Sequence[Phase]:
        """pretrain, or represent-frozen. gradients, if wanted: their axes. cluster: the labellings. select: one."""
        cluster, k, seed = self.config.cluster, self.config.clusters, self.config.seed
        labelling, labellings, free_sizes = self.labelling, self.labellings, self.free_sizes
        features = TrainingFeatures(self._spaces.points, images, compute)
        objective = LabellingObjective(labellings, self.classifiers, features, cluster, compute)

        def select() -> None:
            z = features()  # by all processes, before one is alone
            labelling.take(labellings, int(compute.once(objective.own_losses).argmin()))
            free_sizes.arrays = compute.once(lambda: free_sizes.find(z, k, NEIGHBOURS, seed))

        return (
            *self.backbone.phases(images, compute),
            *self._gradients(images, compute),
            GradientPhase(
                name="cluster",
                module=objective,
                optimiser=cluster.optimiser,
                epochs=epochs_needed(len(images), cluster.batch_size, cluster.epochs, cluster.min_steps),
                batch_size=cluster.batch_size,
            ),
            FitPhase("select", nn.ModuleDict({"labelling": labelling, "free_sizes": free_sizes}), select),
        )

    @property
    def _spaces(self) -> Backbone | FeatureAndGradients:
        """What gives the spaces of images."""
        if self.coordinates is None:
            return self.backbone
        return FeatureAndGradients(self.backbone, self.coordinates, side_by_side)

    def _gradients(self, images: Num[Tensor, "n c h w"], compute: Compute) -> Sequence[Phase]:
        coordinates = self.coordinates
        if coordinates is None:
            return ()
        axes, describe = coordinates.axes, coordinates.describe

        def fit() -> None:
            descriptors = compute.map(describe, images)
            axes.place(compute.once(lambda: axes.fit(descriptors)))

        return (FitPhase("gradients", axes, fit, draws=False),)

    def encode(self, images: Num[Tensor, "n c h w"]) -> Float[Tensor, "n d"]:
        """The spaces of a batch side by side, on its device."""
        return self._spaces.encode(images)

    def embed(self, images: Num[Tensor, "n c h w"]) -> Float[Tensor, "n d"]:
        """The spaces side by side, on the CPU."""
        return self._spaces.embed(images)

    @property
    def notes(self) -> tuple[str, ...]:
        return (*super().notes, *self.free_sizes.notes(SizePriorSettings(), self.config.clusters))

    @property
    def dimensions(self) -> int:
        return sum(self.labelling.sizes)

    @property
    def space(self) -> str:
        return f"feature ({self.dimensions}-d)"

    def soft(self, z: Float[Tensor, "n d"]) -> Float[Tensor, "n k"]:
        """τ of the chosen start."""
        return mean_labelling(self.labelling(self.labelling.spaces(z)))[0]
