"""PACE, population-agreement clustering by evolution: heads that agree between neighbours, under selection.

An encoder learns contrastively and rests. On its feature, with histograms of gradients beside it, many linear heads are
trained at once to agree at both ends of walks on the neighbour graph; worse heads give their places to children of
better ones, and the head of lowest own loss is the answer. It is a method of this project, made of ideas of others:

* agreement between neighbours: Van Gansbeke et al., "SCAN", ECCV 2020; in `parts.walked_agreement`;
* the entropy of the cluster sizes beside it, a bound on mutual information: Hu et al., ICML 2017 (IMSAT); there too;
* similarity by shared neighbours: Jarvis, Patrick, IEEE Transactions on Computers 1973; in `parts.neighbourhood`;
* recombination of clusterings: Gribel, Vidal, Pattern Recognition 2019 (HG-means); in `parts.head_search`;
* a split and a merge at once: Ueda, Nakano, Ghahramani, Hinton, Neural Computation 2000 (SMEM); there too;
* the sharpened target of self-labelling: Xie, Girshick, Farhadi, ICML 2016 (DEC); in `parts.self_labelling`;
* histograms of oriented gradients: Dalal, Triggs, CVPR 2005; in `parts.hog_axes`;
* the likelihood of known pairs: Zhang, Basu, Davidson, ECML PKDD 2019; in `losses.known_pairs`;
* the contrastive feature: Chen, Kornblith, Norouzi, Hinton, ICML 2020 (SimCLR); in `parts.contrastive_pretraining`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any, Literal

import torch
from jaxtyping import Float, Num
from pydantic import Field
from torch import Tensor, nn

from configs.schema import OptimiserSettings, PositiveFloat, PositiveInt, Share
from data.known import Known
from methods.contrastive import NeighbourHeads, SizePriorConfig
from methods.dec import TrainingTarget
from models.autoencoder import ImageShape
from models.cluster_heads import ClusterHeads
from parts.backbone import Backbone
from parts.gradient_space import FeatureAndGradients, GradientCoordinates
from parts.head_search import evolve
from parts.hog_axes import HOGAxes, HOGAxesSettings
from parts.known_links import KnownLinks, LinkedHeads
from parts.phases import Compute, FitPhase, GradientPhase, Phase, epochs_needed
from parts.self_labelling import SelfLabelObjective, SelfLabelSettings
from parts.size_prior import Momentum, SizePrior, SizePriorSettings
from parts.training_features import TrainingFeatures
from parts.walked_agreement import HeadsObjective

WALKS_BETWEEN, WALKS_AT_LAST = 3, 10
"""From every image, for the comparison of heads within their training and at its end."""
COMPARED = 4096
"""Images on which it is seen whether two heads are alike."""


class ClusterSettings(SizePriorSettings):
    """Many linear heads on the frozen feature, of which the one of lowest own loss over all images is taken."""

    heads: PositiveInt = 40
    """Heads that are trained at a time, all in one computation."""
    generations: Annotated[int, Field(ge=0)] = 16
    """How often the worse half of the heads gives its place to children of the better. 0: restarts alone."""
    mutation: Share = 0.5
    """The share of children with one parent, in which a cluster is dropped and another split."""
    hog: HOGAxesSettings = HOGAxesSettings()
    neighbours: PositiveInt = 20
    """Nearest images in the feature space, the edges of the neighbour graph."""
    walk: PositiveInt = 4
    """Steps of the random walk along edges from an image to the one that it shall agree with. 1: a neighbour."""
    jaccard: Annotated[float, Field(ge=0)] = 3.0
    """Walks take an edge with a chance in proportion to this power of the share of neighbours that its ends have in
    common. 0: every edge alike."""
    entropy: PositiveFloat = 3.0
    """Weight of the cluster sizes' divergence from the prior."""
    known: PositiveFloat = 1.0
    """Weight of the known pairs' surprise, where labels are known (--known)."""
    prior_momentum: Momentum = 0.0
    """Of a learned prior: the weight of earlier batches in its estimate of the sizes. 0: those of the batch alone."""
    scale: PositiveFloat = 4.0
    """sd of the logits at the start. Large, so that heads begin as different partitions."""
    epochs: PositiveInt = 54
    min_steps: Annotated[int, Field(ge=0)] = 1000
    batch_size: PositiveInt = 1024
    optimiser: OptimiserSettings = OptimiserSettings(learning_rate=1e-1, schedule="cosine")


class PACEConfig(SizePriorConfig):
    """Config of PACE."""

    method: Literal["pace"] = "pace"
    cluster: ClusterSettings = ClusterSettings()
    self_label: SelfLabelSettings | None = None
    """Without it the chosen head on the frozen feature is the answer."""

    @property
    def for_points(self) -> dict[str, Any]:
        off = {} if self.self_label is None else {"self_label": None}
        return {**super().for_points, "cluster.hog.components": 0, **off}


class PACE(NeighbourHeads[ClusterHeads]):
    """A contrastive encoder, then heads that agree between neighbours, then encoder and the best head together.

    Args:
        config: of the run.
        shape: of the images.

    Raises:
        ModelError: when the network does not fit the images.
    """

    def __init__(self, config: PACEConfig, shape: ImageShape) -> None:
        super().__init__(config, shape, config.cluster.jaccard)
        self.config = config
        cluster = config.cluster
        self.axes = HOGAxes(shape, cluster.hog)
        size = self.backbone.latent + self.axes.size
        self.heads = ClusterHeads(cluster.heads, size, config.clusters, cluster.scale)
        self.head = ClusterHeads(1, size, config.clusters, cluster.scale)
        self.prior = SizePrior(cluster, cluster.heads, config.clusters, cluster.prior_momentum)
        self.target = TrainingTarget()

    def phases(self, images: Num[Tensor, "n c h w"], compute: Compute) -> Sequence[Phase]:
        """pretrain: the encoder. neighbours: in its feature. cluster: the heads. select: one. self-label, if wanted."""
        return self._phases(images, compute, None)

    def semi_supervised_phases(self, images: Num[Tensor, "n c h w"], compute: Compute, known: Known) -> Sequence[Phase]:
        """The same, and heads agree with what is known as well, in their training and where they are compared."""
        return self._phases(images, compute, LinkedHeads(self.heads, KnownLinks(known, self.config.cluster.known)))

    def _phases(self, images: Num[Tensor, "n c h w"], compute: Compute, known: LinkedHeads | None) -> Sequence[Phase]:
        cluster, feature = self.config.cluster, self._feature
        features = TrainingFeatures(feature.points, images, compute)
        objective = HeadsObjective(
            self.heads, self.neighbourhood, features, self.prior, cluster.entropy, cluster.walk, compute, known
        )
        return (
            *self.backbone.phases(images, compute),
            self._neighbours(features),
            self._heads(objective, len(images)),
            self._selection(objective),
            *self._self_labelling(feature.encode, images, compute),
        )

    @property
    def _feature(self) -> Backbone | FeatureAndGradients:
        """What heads see of images: the feature and, with axes, the coordinates along them; of length 1 together."""
        if not self.axes.size:
            return self.backbone
        return FeatureAndGradients(self.backbone, self._coordinates, self.axes.joined)

    @property
    def _coordinates(self) -> GradientCoordinates:
        return GradientCoordinates(self.axes, self.backbone.normalise)

    def _neighbours(self, features: TrainingFeatures) -> Phase:
        axes, coordinates, neighbourhood = self.axes, self._coordinates, self.neighbourhood
        backbone, wanted = self.backbone, self.config.cluster.neighbours

        def find() -> None:
            images, compute = features.images, features.compute
            if axes.size:
                descriptors = compute.map(coordinates.describe, images)
                axes.place(compute.once(lambda: axes.fit(descriptors)))
            neighbourhood.find(features(backbone.device), wanted, compute)

        return FitPhase("neighbours", nn.ModuleDict({"axes": axes, "neighbourhood": neighbourhood}), find)

    def _heads(self, objective: HeadsObjective, images: int) -> Phase:
        cluster, heads, seed = self.config.cluster, self.heads, self.config.seed
        # Equal parts, in each of which the learning rate falls to 0: heads are compared at rest. The last two parts are
        # left to what the selection found.
        parts = cluster.generations + 2 if cluster.generations else 1
        generation = -(-epochs_needed(images, cluster.batch_size, cluster.epochs, cluster.min_steps) // parts)

        def select_heads(epoch: int) -> Sequence[nn.Parameter]:
            if epoch % generation or epoch > cluster.generations * generation:
                return ()
            losses = objective.own_losses(WALKS_BETWEEN, seed)
            z = objective.features()
            sample = torch.randperm(len(z))[:COMPARED].sort().values
            evolve(heads, losses, z[sample], max(cluster.heads // 2, 1), cluster.mutation)
            return (heads.weight, heads.bias)

        return GradientPhase(
            name="cluster",
            module=objective,
            optimiser=cluster.optimiser,
            epochs=parts * generation,
            cycles=parts,
            batch_size=cluster.batch_size,
            restart=select_heads,
        )

    def _selection(self, objective: HeadsObjective) -> Phase:
        head, heads, neighbourhood, free_sizes = self.head, self.heads, self.neighbourhood, self.free_sizes
        k, seed, edges = self.config.clusters, self.config.seed, self.config.cluster.neighbours

        def select() -> None:
            losses = objective.own_losses(WALKS_AT_LAST, seed)
            head.take(heads, int(losses.argmin()))
            neighbourhood.own_losses = losses
            z = objective.features()
            free_sizes.arrays = objective.compute.once(lambda: free_sizes.find(z, k, edges, seed))

        module = nn.ModuleDict({"head": head, "neighbourhood": neighbourhood, "free_sizes": free_sizes})
        return FitPhase("select", module, select)

    def _self_labelling(
        self, encode: Callable[[Tensor], Tensor], images: Num[Tensor, "n c h w"], compute: Compute
    ) -> Sequence[Phase]:
        settings, backbone, head, target = self.config.self_label, self.backbone, self.head, self.target
        if settings is None:
            return ()

        def probabilities(part: Num[Tensor, "n c h w"]) -> Float[Tensor, "n k"]:
            return head(encode(part))[0].exp()  # type: ignore[no-any-return]

        objective = SelfLabelObjective(
            backbone.normalise, backbone.branch(False), self.axes, head, target, settings, compute
        )
        return (
            GradientPhase(
                name="self-label",
                module=objective,
                optimiser=settings.optimiser,
                epochs=settings.epochs(len(images)),
                batch_size=settings.batch_size,
                refresh=lambda: target.refresh(probabilities, images, compute),
                refresh_interval=settings.refresh_interval(len(images)),
                clusters=self.config.clusters,
                tol=settings.tol,
            ),
        )

    def encode(self, images: Num[Tensor, "n c h w"]) -> Float[Tensor, "n d"]:
        """What the head sees of a batch, on its device."""
        return self._feature.encode(images)

    def embed(self, images: Num[Tensor, "n c h w"]) -> Float[Tensor, "n d"]:
        """What the head sees of any images, on the CPU."""
        return self._feature.embed(images)

    @property
    def dimensions(self) -> int:
        return self.backbone.latent + self.axes.size
