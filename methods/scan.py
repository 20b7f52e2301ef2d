"""Semantic clustering by adopting nearest neighbours: a classifier that gives an image and its neighbours one cluster.

Here many classifiers are trained, and selected and recombined on the way (`methods.head_search`).

Source: Van Gansbeke, Vandenhende, Georgoulis, Proesmans, Van Gool, "SCAN: Learning to Classify Images without Labels",
ECCV 2020.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Annotated, Literal

import torch
from jaxtyping import Float, Int64, UInt8
from pydantic import Field, model_validator
from torch import Tensor, nn

from configs.schema import OptimiserSettings, PositiveFloat, PositiveInt, Settings, Share
from losses.agreement import disagreement, marginal_divergence
from methods.backbones import ContrastiveStageSettings, PretrainingSettings
from methods.base import Assignments, Batch, Compute, FitPhase, GradientPhase, Objective, Phase, epochs_needed
from methods.contrastive_pretraining import ContrastivePretrainSettings
from methods.head_search import evolve
from methods.hog_axes import HOGAxes, HOGAxesSettings
from methods.joint import JointConfig, JointMethod
from methods.neighbourhood import Neighbourhood
from methods.self_labelling import SelfLabelObjective, SelfLabelSettings
from methods.training_target import TrainingTarget
from models.autoencoder import ImageShape
from models.batched import map_batches
from models.cluster_heads import ClusterHeads
from models.settings import AutoencoderSettings
from representations.neighbours import neighbour_graph

WALKS_BETWEEN, WALKS_AT_LAST = 3, 10
"""From every image, for the comparison of heads within their training and at its end."""
COMPARED = 4096
"""Images on which it is seen whether two heads are alike."""


class ClusterSettings(Settings):
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
    prior: tuple[PositiveFloat, ...] | None = None
    """Expected share of every cluster, in any order, where clusters are not of one size; None: uniform."""
    scale: PositiveFloat = 4.0
    """sd of the logits at the start. Large, so that heads begin as different partitions."""
    epochs: PositiveInt = 54
    min_steps: Annotated[int, Field(ge=0)] = 1000
    batch_size: PositiveInt = 1024
    optimiser: OptimiserSettings = OptimiserSettings(learning_rate=1e-1, schedule="cosine")


class SCANConfig(JointConfig):
    """Config of SCAN."""

    method: Literal["scan"] = "scan"
    model: AutoencoderSettings = ContrastiveStageSettings().model
    pretrain: PretrainingSettings = ContrastivePretrainSettings()
    cluster: ClusterSettings = ClusterSettings()
    self_label: SelfLabelSettings | None = None
    """Without it the chosen head on the frozen feature is the answer."""

    @model_validator(mode="after")
    def _the_prior_has_k_shares(self) -> SCANConfig:
        prior = self.cluster.prior
        if prior is not None and (len(prior) != self.clusters or abs(sum(prior) - 1) > 1e-3):
            raise ValueError(
                f"cluster.prior must hold {self.clusters} shares that sum to 1; received {len(prior)} with the sum "
                f"{sum(prior):.3g}"
            )
        return self


class HeadsObjective(Objective):
    """Disagreement of an image and its partner + λ·KL(sizes ‖ prior), each head for itself, on frozen features.

    Args:
        heads: r of them.
        neighbourhood: of the training images.
        features: gives those of all training images, (n, d).
        prior: (k,).
        settings: λ and the length of walks.
    """

    def __init__(
        self,
        heads: ClusterHeads,
        neighbourhood: Neighbourhood,
        features: Callable[[], Float[Tensor, "n d"]],
        prior: Float[Tensor, " k"],
        settings: ClusterSettings,
    ) -> None:
        super().__init__()
        self.heads = heads
        self.neighbourhood = neighbourhood
        self.features = features
        self.prior = prior
        self.entropy, self.walk = settings.entropy, settings.walk

    def forward(self, batch: Batch) -> dict[str, Float[Tensor, ""]]:
        partners = self.neighbourhood.partners(batch.indices, batch.noise.uniform(self.walk))
        z = self.features().to(batch.indices.device)
        first, second = self.heads(z[batch.indices]), self.heads(z[partners])
        losses, disagreements = head_losses(first, second, self.prior.to(z.device), self.entropy)
        # The sum, so that a head is trained as it would be alone.
        return {
            "loss": losses.sum(),
            "lowest": losses.min(),
            "disagreement": disagreements.mean(),
        }


def head_losses(
    first: Float[Tensor, "r n k"], second: Float[Tensor, "r n k"], prior: Float[Tensor, " k"], entropy: float
) -> tuple[Float[Tensor, " r"], Float[Tensor, " r"]]:
    """Every head's loss on pairs, and the disagreement in it.

    Args:
        first: log p of an image of every pair.
        second: log p of the other.
        prior: expected shares.
        entropy: weight of the sizes' divergence from them.
    """
    disagreements = disagreement(first, second)
    sizes = marginal_divergence(torch.cat([first, second], dim=1).exp().mean(dim=-2), prior)
    return disagreements + entropy * sizes, disagreements


class SCAN(JointMethod):
    """A contrastive encoder, then heads that agree between neighbours, then encoder and the best head together.

    Args:
        config: of the run.
        shape: of the images.

    Raises:
        ModelError: when the network does not fit the images.
    """

    def __init__(self, config: SCANConfig, shape: ImageShape) -> None:
        super().__init__(config, shape)
        self.config = config
        cluster = config.cluster
        self.axes = HOGAxes(shape, cluster.hog)
        self.neighbourhood = Neighbourhood(cluster.jaccard)
        size = self.backbone.latent + self.axes.size
        self.heads = ClusterHeads(cluster.heads, size, config.clusters, cluster.scale)
        self.head = ClusterHeads(1, size, config.clusters, cluster.scale)
        self.target = TrainingTarget()

    @property
    def prior(self) -> Float[Tensor, " k"]:
        """Expected share of every cluster."""
        k = self.config.clusters
        return torch.tensor(self.config.cluster.prior or [1 / k] * k)

    def phases(self, images: UInt8[Tensor, "n c h w"], compute: Compute) -> Sequence[Phase]:
        """pretrain: the encoder. neighbours: in its feature. cluster: the heads. select: one. self-label, if wanted."""
        config, cluster, backbone = self.config, self.config.cluster, self.backbone
        cached: list[Float[Tensor, "n d"]] = []

        def features() -> Float[Tensor, "n d"]:
            # Only asked for while the encoder rests: between its pretraining and the self-labelling.
            if not cached:
                cached.append(compute.map(self.encode, images))
            return cached[0]

        def find_neighbours() -> None:
            if self.axes.size:
                descriptors = compute.map(lambda part: self.axes.describe(backbone.normalise.unit(part)), images)
                self.axes.place(compute.once(lambda: self.axes.fit(descriptors)))
            count = min(cluster.neighbours, len(images) - 1)
            graph = compute.once(lambda: neighbour_graph(features(), count + 1).indices)
            self.neighbourhood.place(graph[:, 1:].contiguous())  # without the image itself

        # Equal parts, in each of which the learning rate falls to 0: heads are compared at rest. The last two parts are
        # left to what the selection found.
        parts = cluster.generations + 2 if cluster.generations else 1
        generation = -(-epochs_needed(len(images), cluster.batch_size, cluster.epochs, cluster.min_steps) // parts)

        def select_heads(epoch: int) -> Sequence[nn.Parameter]:
            if epoch % generation or epoch > cluster.generations * generation:
                return ()
            z = features()
            losses = compute.once(lambda: self.own_losses(z, WALKS_BETWEEN))
            sample = torch.randperm(len(z))[:COMPARED].sort().values
            survivors = max(cluster.heads // 2, 1)
            evolve(self.heads, losses, z[sample].to(self.backbone.device), survivors, cluster.mutation)
            return (self.heads.weight, self.heads.bias)

        def select() -> None:
            losses = compute.once(lambda: self.own_losses(features(), WALKS_AT_LAST))
            self.head.take(self.heads, int(losses.argmin()))
            self.neighbourhood.own_losses = losses

        settings = {"cluster": cluster.model_dump(mode="json"), "clusters": config.clusters}
        return (
            *backbone.phases(images, compute),
            FitPhase(
                "neighbours",
                cluster.model_dump(mode="json", include={"neighbours", "hog"}),
                nn.ModuleDict({"axes": self.axes, "neighbourhood": self.neighbourhood}),
                find_neighbours,
            ),
            GradientPhase(
                name="cluster",
                settings=settings,
                module=HeadsObjective(self.heads, self.neighbourhood, features, self.prior, cluster),
                optimiser=cluster.optimiser,
                epochs=parts * generation,
                cycles=parts,
                batch_size=cluster.batch_size,
                restart=select_heads,
            ),
            FitPhase(
                "select",
                settings,
                nn.ModuleDict({"head": self.head, "neighbourhood": self.neighbourhood}),
                select,
            ),
            *self._self_labelling(images, compute),
        )

    def _self_labelling(self, images: UInt8[Tensor, "n c h w"], compute: Compute) -> Sequence[Phase]:
        settings, backbone = self.config.self_label, self.backbone
        if settings is None:
            return ()

        def refresh_target() -> Int64[Tensor, " n"]:
            return self.target.refresh(self._probabilities, images, compute)

        return (
            GradientPhase(
                name="self-label",
                settings=settings.model_dump(mode="json"),
                module=SelfLabelObjective(
                    backbone.normalise, backbone.branch(False), self.axes, self.head, self.target, settings
                ),
                optimiser=settings.optimiser,
                epochs=epochs_needed(len(images), settings.batch_size, settings.max_epochs, settings.min_steps),
                batch_size=settings.batch_size,
                refresh=refresh_target,
                refresh_interval=settings.update_interval,
                clusters=self.config.clusters,
                tol=settings.tol,
            ),
        )

    def encode(self, images: UInt8[Tensor, "n c h w"]) -> Float[Tensor, "n d"]:
        """The encoder's feature and the gradients' coordinates, length 1, on the device of `images`."""
        z: Tensor = self.axes(self.backbone.encode(images), self.backbone.normalise.unit(images))
        return z

    def embed(self, images: UInt8[Tensor, "n c h w"]) -> Float[Tensor, "n d"]:
        """What the head sees, on the CPU."""
        return map_batches(self.encode, images, self.backbone.device)

    @property
    def space(self) -> str:
        return f"feature ({self.backbone.latent + self.axes.size}-d)"

    def own_losses(self, z: Float[Tensor, "n d"], walks: int) -> Float[Tensor, " r"]:
        """Every head's loss over all training images, each with the ends of so many random walks, the same for all."""
        generator = torch.Generator().manual_seed(self.config.seed)
        steps = self.config.cluster.walk
        everyone = torch.arange(len(z))
        ends = [
            self.neighbourhood.partners(everyone, torch.rand(len(z), steps, generator=generator)) for _ in range(walks)
        ]
        losses = []
        alone = copy.deepcopy(self.head)
        for head in range(len(self.heads.weight)):
            alone.take(self.heads, head)
            log_p = map_batches(lambda rows: alone(rows)[0], z, self.backbone.device)
            away = torch.stack([disagreement(log_p, log_p[end]) for end in ends]).mean()
            losses.append(
                away + self.config.cluster.entropy * marginal_divergence(log_p.exp().mean(dim=-2), self.prior)
            )
        return torch.stack(losses)

    def assign_embedded(self, z: Float[Tensor, "n d"]) -> Assignments:
        """The head's probabilities and their largest."""
        p = map_batches(lambda rows: self.head(rows)[0].exp(), z, self.backbone.device)
        return Assignments(p.argmax(dim=1), p)

    def centroid_positions(self) -> Float[Tensor, "k d"]:
        """The direction of every cluster: its weights in the head, of length 1, on the CPU."""
        return nn.functional.normalize(self.head.weight[0].detach().float().cpu().T, dim=1)

    def _probabilities(self, images: UInt8[Tensor, "n c h w"]) -> Float[Tensor, "n k"]:
        p: Tensor = self.head(self.encode(images))[0].exp()
        return p
