"""SCAN: an image and its nearest neighbours get one cluster, then a network learns from its own confident answers.

Source: Van Gansbeke, Vandenhende, Georgoulis, Proesmans, Van Gool, "SCAN: Learning to Classify Images without Labels",
ECCV 2020.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from jaxtyping import Float, Num
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from configs.schema import AugmentationSettings, OptimiserSettings, PositiveFloat, PositiveInt, Settings, Share
from data.augmentation import Augmentation
from losses.scan import disagreement, marginal_divergence
from losses.self_labelling import balanced_cross_entropy
from methods.contrastive import NeighbourHeads, SizePriorConfig
from models.autoencoder import ImageShape
from models.cluster_heads import ClusterHeads
from parts.contrastive_pretraining import CROP_FLIP_LIGHT
from parts.neighbour_pairs import AugmentedPairs, Classifier, RestingPairs
from parts.neighbourhood import Neighbourhood, own_losses
from parts.neighbours_phase import neighbours_phase
from parts.phases import Batch, Compute, FitPhase, GradientPhase, Objective, Phase, epochs_needed
from parts.size_prior import Momentum, SizePrior, SizePriorSettings
from parts.training_features import TrainingFeatures

STRONG = AugmentationSettings(
    **CROP_FLIP_LIGHT.model_dump(exclude_defaults=True), shift=0.1, rotation=15, shear=6, sharpness=0.95,
    solarize=0.25, posterize=0.25, autocontrast=0.25, equalize=0.25, cutout=0.5,
)  # fmt: skip
"""The pretraining's views and more. Where four of fourteen operations are drawn, as in the authors' code, an image
undergoes each with a chance of a quarter."""


class ClusterSettings(SizePriorSettings):
    """Encoder and linear heads together, on pairs of an image and one of its neighbours."""

    prior_freedom: Share = 0.4
    """As elsewhere, but smaller: the encoder is trained too, and at 0.8 all images ended in one cluster."""
    heads: PositiveInt = 10
    """Heads on one encoder, of which the one of lowest loss is taken."""
    neighbours: PositiveInt = 20
    """Nearest images in the pretrained feature."""
    entropy: PositiveFloat = 5.0
    """λ, the weight of the entropy of the cluster sizes."""
    prior_momentum: Momentum = 0.0
    """Of a learned prior: the weight of earlier batches in its estimate of the sizes. 0: those of the batch alone."""
    scale: PositiveFloat = 1.0
    """sd of the logits at the start."""
    augmentation: AugmentationSettings = STRONG
    """Of the image and of its neighbour; not used on a feature that rests."""
    epochs: PositiveInt = 5
    min_steps: Annotated[int, Field(ge=0)] = 1000
    """As many epochs more as a small data set needs to reach this number of steps."""
    batch_size: PositiveInt = 128
    """Images a step, each with a neighbour."""
    optimiser: OptimiserSettings = OptimiserSettings(learning_rate=1e-3, weight_decay=1e-4)
    """Of encoder and heads together."""
    resting_optimiser: OptimiserSettings = OptimiserSettings(learning_rate=1e-1, weight_decay=1e-4)
    """Of heads alone, on a feature that rests. Of 1e-3, 1e-2 and 1e-1 this rate ended at the lowest own loss on
    descriptors of digits (docs/methods/frozen.md)."""


class SelfLabelSettings(Settings):
    """Encoder and the chosen head together, on the answers that the network is sure of."""

    confidence: Share = 0.9
    """An image counts whose largest probability is above this."""
    augmentation: AugmentationSettings = STRONG
    """Of the images that are trained on; their labels are those of the clean ones."""
    epochs: PositiveInt = 2
    min_steps: Annotated[int, Field(ge=0)] = 200
    batch_size: PositiveInt = 512
    optimiser: OptimiserSettings = OptimiserSettings(learning_rate=1e-4, weight_decay=1e-4)


class SCANConfig(SizePriorConfig):
    """Config of SCAN."""

    method: Literal["scan"] = "scan"
    cluster: ClusterSettings = ClusterSettings()
    self_label: SelfLabelSettings | None = SelfLabelSettings()
    """None: the head that the clustering step ends with is the answer, as it is on a feature that rests."""

    @property
    def for_points(self) -> dict[str, Any]:
        off = {} if self.self_label is None else {"self_label": None}
        return {**super().for_points, "cluster.augmentation": {}, **off}


class NeighbourObjective(Objective):
    """Eq. 2: an image and a neighbour, drawn uniformly, are of one cluster.

    The divergence of the cluster sizes from a uniform prior is log k less the entropy that eq. 2 has.

    Args:
        pairs: trained, gives log p by all heads of the images of a batch and then of their neighbours.
        neighbourhood: of the training images.
        settings: of the step.
        prior: of the cluster sizes.
        compute: the machine: cluster sizes are those of the whole batch, whatever the number of processes.
    """

    def __init__(
        self,
        pairs: nn.Module,
        neighbourhood: Neighbourhood,
        settings: ClusterSettings,
        prior: SizePrior,
        compute: Compute,
    ) -> None:
        super().__init__()
        self.pairs = pairs
        self.neighbourhood = neighbourhood
        self.entropy, self.prior = settings.entropy, prior
        self.compute = compute

    def forward(self, batch: Batch) -> dict[str, Float[Tensor, ""]]:
        partners = self.neighbourhood.partners(batch.indices, batch.noise.uniform(1))
        first, second = self.pairs(batch, partners).chunk(2, dim=1)  # (r, b, k) each
        disagreements = disagreement(first, second)
        sizes = self.compute.pooled(first.exp().mean(dim=1))  # (r, k)
        losses = disagreements + self.entropy * marginal_divergence(sizes, self.prior(sizes))
        return {
            "loss": losses.sum(),
            "lowest": self.compute.pooled(losses.detach()).min(),
            "disagreement": disagreements.mean(),
        }


class SelfLabelObjective(Objective):
    """Cross-entropy of a strongly augmented image and the answer for the clean one, over the images it is sure of.

    Args:
        classifier: trained, encoder and one head.
        settings: of the step.
        compute: the machine: how many images have a label is seen over the whole batch.
    """

    def __init__(self, classifier: Classifier, settings: SelfLabelSettings, compute: Compute) -> None:
        super().__init__()
        self.classifier = classifier
        self.augmentation = Augmentation(settings.augmentation)
        self.confidence = settings.confidence
        self.compute = compute

    def forward(self, batch: Batch) -> dict[str, Float[Tensor, ""]]:
        pixels = self.classifier.normalise.unit(batch.images)
        # Not under no_grad, where batch-norm would see this process's rows alone.
        clean = self.classifier(pixels, batch.noise)[0].detach()
        largest, label = clean.exp().max(dim=1)
        sure = (largest > self.confidence).to(clean.dtype)
        labels = functional.one_hot(label, clean.shape[1]) * sure.unsqueeze(1)  # (b, k)
        shares = self.compute.pooled(labels.mean(dim=0))
        log_q = self.classifier(self.augmentation(pixels, batch.noise), batch.noise)[0]
        return {"loss": balanced_cross_entropy(log_q, labels, shares), "confident": shares.sum()}


class SCAN(NeighbourHeads[ClusterHeads]):
    """A contrastive encoder; encoder and heads that agree between neighbours; encoder and the best head on their own.

    On an encoder that rests (a network of others, points as they are) the heads alone are trained, on its feature.
    There are no views then, and nothing learns from its own answers.

    Args:
        config: of the run.
        shape: of the images.

    Raises:
        ModelError: when the network does not fit the images.
    """

    def __init__(self, config: SCANConfig, shape: ImageShape) -> None:
        super().__init__(config, shape)
        self.config = config
        cluster, latent = config.cluster, self.backbone.latent
        self.heads = ClusterHeads(cluster.heads, latent, config.clusters, cluster.scale)
        self.head = ClusterHeads(1, latent, config.clusters, cluster.scale)
        self.prior = SizePrior(cluster, cluster.heads, config.clusters, cluster.prior_momentum)

    def phases(self, images: Num[Tensor, "n c h w"], compute: Compute) -> Sequence[Phase]:
        """pretrain: the encoder. neighbours: by its feature. cluster: encoder and heads. select: a head. self-label."""
        return (
            *self.backbone.phases(images, compute),
            self._neighbours(images, compute),
            self._cluster(images, compute),
            self._selection(images, compute),
            *self._self_labelling(len(images), compute),
        )

    def _neighbours(self, images: Num[Tensor, "n c h w"], compute: Compute) -> Phase:
        config, backbone = self.config, self.backbone

        def points() -> Float[Tensor, "n d"]:
            return backbone.points(images, compute).to(backbone.device)

        wanted, k, seed = config.cluster.neighbours, config.clusters, config.seed
        return neighbours_phase(self.neighbourhood, self.free_sizes, points, wanted, k, seed, compute)

    def _cluster(self, images: Num[Tensor, "n c h w"], compute: Compute) -> Phase:
        cluster = self.config.cluster
        pairs = self._pairs(images, compute)
        return GradientPhase(
            name="cluster",
            module=NeighbourObjective(pairs, self.neighbourhood, cluster, self.prior, compute),
            optimiser=cluster.resting_optimiser if self.backbone.rests else cluster.optimiser,
            epochs=epochs_needed(len(images), cluster.batch_size, cluster.epochs, cluster.min_steps),
            batch_size=cluster.batch_size,
        )

    def _pairs(self, images: Num[Tensor, "n c h w"], compute: Compute) -> nn.Module:
        if self.backbone.rests:
            return RestingPairs(self.heads, TrainingFeatures(self.backbone.points, images, compute))
        classifier = Classifier(self.backbone, self.heads)
        return AugmentedPairs(classifier, images, self.config.cluster.augmentation, compute)

    def _selection(self, images: Num[Tensor, "n c h w"], compute: Compute) -> Phase:
        backbone, head, heads, neighbourhood = self.backbone, self.head, self.heads, self.neighbourhood
        entropy, prior = self.config.cluster.entropy, self.prior

        def select() -> None:
            assert neighbourhood.indices is not None, "neighbours are found before heads are trained"
            z = backbone.points(images, compute).to(heads.weight.device)
            ends = neighbourhood.indices.to(z.device).unbind(dim=1)
            losses = compute.once(lambda: own_losses(heads, z, ends, entropy, prior))
            head.take(heads, int(losses.argmin()))
            neighbourhood.own_losses = losses

        return FitPhase("select", nn.ModuleDict({"head": head, "neighbourhood": neighbourhood}), select)

    def _self_labelling(self, images: int, compute: Compute) -> Sequence[Phase]:
        settings = self.config.self_label
        if settings is None or self.backbone.rests:
            return ()
        return (
            GradientPhase(
                name="self-label",
                module=SelfLabelObjective(Classifier(self.backbone, self.head), settings, compute),
                optimiser=settings.optimiser,
                epochs=epochs_needed(images, settings.batch_size, settings.epochs, settings.min_steps),
                batch_size=settings.batch_size,
            ),
        )
