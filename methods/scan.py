"""Semantic clustering by adopting nearest neighbours: a classifier that gives an image and its neighbours one cluster.

Source: Van Gansbeke, Vandenhende, Georgoulis, Proesmans, Van Gool, "SCAN: Learning to Classify Images without Labels",
ECCV 2020; its third step, the self-labelling, with the target distribution of Xie, Girshick, Farhadi, ICML 2016 (DEC)
over the whole training set, predicted for augmented images as in Guo et al., ACML 2018.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Annotated, Literal

import torch
from jaxtyping import Float, Int64, UInt8
from pydantic import Field, model_validator
from torch import Tensor, nn

from configs.schema import AugmentationSettings, OptimiserSettings, PositiveFloat, PositiveInt, Settings, Share
from data.augmentation import Augmentation
from losses.agreement import disagreement, marginal_divergence
from losses.clustering import clustering_kl
from methods.backbones import Branch, ContrastiveStageSettings, PretrainingSettings
from methods.base import Assignments, Batch, Compute, FitPhase, GradientPhase, Objective, Phase, epochs_needed
from methods.contrastive_pretraining import CLOTHES, ContrastivePretrainSettings
from methods.joint import JointConfig, JointMethod
from methods.training_target import TrainingTarget
from models.autoencoder import ImageShape
from models.batched import map_batches
from models.cluster_heads import ClusterHeads
from models.normalise import Normalise, unit_pixels
from models.settings import AutoencoderSettings
from representations.neighbours import neighbour_graph


class ClusterSettings(Settings):
    """Many linear heads on the frozen feature, of which the one of lowest own loss over all images is taken."""

    heads: PositiveInt = 50
    """Restarts, all trained in one computation."""
    neighbours: PositiveInt = 20
    """Nearest images in the feature space that an image shall agree with."""
    entropy: PositiveFloat = 2.0
    """Weight of the cluster sizes' divergence from the prior."""
    prior: tuple[PositiveFloat, ...] | None = None
    """Expected share of every cluster, in any order, where clusters are not of one size; None: uniform."""
    scale: PositiveFloat = 4.0
    """sd of the logits at the start. Large, so that heads begin as different partitions."""
    epochs: PositiveInt = 10
    min_steps: Annotated[int, Field(ge=0)] = 500
    batch_size: PositiveInt = 1024
    optimiser: OptimiserSettings = OptimiserSettings(learning_rate=2e-2, schedule="cosine")


class SelfLabelSettings(Settings):
    """Encoder and head together, on the head's own sharpened answers."""

    augmentation: AugmentationSettings = CLOTHES
    update_interval: PositiveInt = 117
    """Steps between two refreshes of the target distribution over the whole training set."""
    tol: Share = 0.001
    max_epochs: PositiveInt = 3
    min_steps: Annotated[int, Field(ge=0)] = 100
    batch_size: PositiveInt = 512
    optimiser: OptimiserSettings = OptimiserSettings(learning_rate=1e-4)


class SCANConfig(JointConfig):
    """Config of SCAN."""

    method: Literal["scan"] = "scan"
    model: AutoencoderSettings = ContrastiveStageSettings().model
    pretrain: PretrainingSettings = ContrastivePretrainSettings()
    cluster: ClusterSettings = ClusterSettings()
    self_label: SelfLabelSettings = SelfLabelSettings()

    @model_validator(mode="after")
    def _the_prior_has_k_shares(self) -> SCANConfig:
        prior = self.cluster.prior
        if prior is not None and (len(prior) != self.clusters or abs(sum(prior) - 1) > 1e-3):
            raise ValueError(
                f"cluster.prior must hold {self.clusters} shares that sum to 1; received {len(prior)} with the sum "
                f"{sum(prior):.3g}"
            )
        return self


class Neighbourhood(nn.Module):
    """The nearest training images of every training image, (n, m), and every head's own loss once they are compared."""

    def __init__(self) -> None:
        super().__init__()
        self.indices: Int64[Tensor, "n m"] | None = None
        self.own_losses: Float[Tensor, " r"] | None = None

    def partners(self, indices: Int64[Tensor, " b"], uniform: Float[Tensor, " b"]) -> Int64[Tensor, " b"]:
        """For every image one of its neighbours, by a number from 0 to 1."""
        assert self.indices is not None, "neighbours are found before heads are trained"
        self.indices = self.indices.to(indices.device)
        column = (uniform * self.indices.shape[1]).long()
        return self.indices[indices, column]

    def get_extra_state(self) -> dict[str, Tensor | None]:
        return {"indices": self.indices, "own_losses": self.own_losses}

    def set_extra_state(self, state: dict[str, Tensor | None]) -> None:
        self.indices, self.own_losses = state["indices"], state["own_losses"]


class HeadsObjective(Objective):
    """Disagreement of an image and a neighbour + λ·KL(sizes ‖ prior), each head for itself, on frozen features.

    Args:
        heads: r of them.
        neighbourhood: of the training images.
        features: gives those of all training images, (n, d).
        prior: (k,).
        entropy: λ.
    """

    def __init__(
        self,
        heads: ClusterHeads,
        neighbourhood: Neighbourhood,
        features: Callable[[], Float[Tensor, "n d"]],
        prior: Float[Tensor, " k"],
        entropy: float,
    ) -> None:
        super().__init__()
        self.heads = heads
        self.neighbourhood = neighbourhood
        self.features = features
        self.prior = prior
        self.entropy = entropy

    def forward(self, batch: Batch) -> dict[str, Float[Tensor, ""]]:
        partners = self.neighbourhood.partners(batch.indices, batch.noise.uniform())
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
    sizes = marginal_divergence(torch.cat([first, second], dim=1), prior)
    return disagreements + entropy * sizes, disagreements


class SelfLabelObjective(Objective):
    """KL(p ‖ q) of the clean images' target p and the augmented images' probabilities q."""

    def __init__(
        self,
        normalise: Normalise,
        branch: Branch,
        head: ClusterHeads,
        target: TrainingTarget,
        settings: SelfLabelSettings,
    ) -> None:
        super().__init__()
        self.normalise = normalise
        self.branch = branch
        self.head = head
        self.target = target
        self.augmentation = Augmentation(settings.augmentation)

    def forward(self, batch: Batch) -> dict[str, Float[Tensor, ""]]:
        pixels = self.augmentation(unit_pixels(batch.images, self.normalise.mean.dtype), batch.noise)
        z, _ = self.branch(self.normalise.standardise(pixels), batch.noise)
        return {"loss": clustering_kl(self.target.rows(batch.indices), self.head(z)[0].exp())}


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
        self.neighbourhood = Neighbourhood()
        self.heads = ClusterHeads(cluster.heads, self.backbone.latent, config.clusters, cluster.scale)
        self.head = ClusterHeads(1, self.backbone.latent, config.clusters, cluster.scale)
        self.target = TrainingTarget()

    @property
    def prior(self) -> Float[Tensor, " k"]:
        """Expected share of every cluster."""
        k = self.config.clusters
        return torch.tensor(self.config.cluster.prior or [1 / k] * k)

    def phases(self, images: UInt8[Tensor, "n c h w"], compute: Compute) -> Sequence[Phase]:
        """pretrain: the encoder. neighbours: in its feature. cluster: the heads. select: one. self-label: all of it."""
        config, cluster, label, backbone = self.config, self.config.cluster, self.config.self_label, self.backbone
        cached: list[Float[Tensor, "n d"]] = []

        def features() -> Float[Tensor, "n d"]:
            # Only asked for while the encoder rests: between its pretraining and the self-labelling.
            if not cached:
                cached.append(compute.map(backbone.encode, images))
            return cached[0]

        def find_neighbours() -> None:
            count = min(cluster.neighbours, len(images) - 1)
            graph = compute.once(lambda: neighbour_graph(features(), count + 1).indices)
            self.neighbourhood.indices = graph[:, 1:].contiguous()  # without the image itself

        def select() -> None:
            losses = compute.once(lambda: self.own_losses(features()))
            self.neighbourhood.own_losses = losses
            self.head.take(self.heads, int(losses.argmin()))

        def refresh_target() -> Int64[Tensor, " n"]:
            return self.target.refresh(self._probabilities, images, compute)

        settings = {"cluster": cluster.model_dump(mode="json"), "clusters": config.clusters}
        return (
            *backbone.phases(images, compute),
            FitPhase("neighbours", {"neighbours": cluster.neighbours}, self.neighbourhood, find_neighbours),
            GradientPhase(
                name="cluster",
                settings=settings,
                module=HeadsObjective(self.heads, self.neighbourhood, features, self.prior, cluster.entropy),
                optimiser=cluster.optimiser,
                epochs=epochs_needed(len(images), cluster.batch_size, cluster.epochs, cluster.min_steps),
                batch_size=cluster.batch_size,
            ),
            FitPhase("select", settings, _Selection(self.head, self.neighbourhood), select),
            GradientPhase(
                name="self-label",
                settings=label.model_dump(mode="json"),
                module=SelfLabelObjective(backbone.normalise, backbone.branch(False), self.head, self.target, label),
                optimiser=label.optimiser,
                epochs=epochs_needed(len(images), label.batch_size, label.max_epochs, label.min_steps),
                batch_size=label.batch_size,
                refresh=refresh_target,
                refresh_interval=label.update_interval,
                clusters=config.clusters,
                tol=label.tol,
            ),
        )

    def own_losses(self, z: Float[Tensor, "n d"]) -> Float[Tensor, " r"]:
        """Every head's loss over all training images and all of their neighbours."""
        assert self.neighbourhood.indices is not None, "neighbours are found before heads are compared"
        device, indices = self.backbone.device, self.neighbourhood.indices.cpu()
        losses = []
        alone = copy.deepcopy(self.head)
        for head in range(len(self.heads.weight)):
            alone.take(self.heads, head)
            log_p = map_batches(lambda rows: alone(rows)[0], z, device)
            columns = [disagreement(log_p, log_p[indices[:, m]]) for m in range(indices.shape[1])]
            sizes = marginal_divergence(log_p, self.prior)
            losses.append(torch.stack(columns).mean() + self.config.cluster.entropy * sizes)
        return torch.stack(losses)

    def assign_embedded(self, z: Float[Tensor, "n d"]) -> Assignments:
        """The head's probabilities and their largest."""
        p = map_batches(lambda rows: self.head(rows)[0].exp(), z, self.backbone.device)
        return Assignments(p.argmax(dim=1), p)

    def centroid_positions(self) -> Float[Tensor, "k d"]:
        """The direction of every cluster: its weights in the head, of length 1, on the CPU."""
        return nn.functional.normalize(self.head.weight[0].detach().float().cpu().T, dim=1)

    def _probabilities(self, images: UInt8[Tensor, "n c h w"]) -> Float[Tensor, "n k"]:
        p: Tensor = self.head(self.backbone.encode(images))[0].exp()
        return p


class _Selection(nn.Module):
    """What the choice of a head leaves behind."""

    def __init__(self, head: ClusterHeads, neighbourhood: Neighbourhood) -> None:
        super().__init__()
        self.head = head
        self.neighbourhood = neighbourhood
