"""DeepDPM: clusters split and merge in the latent while a network learns them, so that their number is found.

1. An encoder is trained on its own objective, and rests. UMAP lays its latents out.
2. A network with one hidden layer learns the E step of a Gaussian mixture, whose parameters are estimated from its soft
   assignments. For every cluster a small network learns two sub-clusters.
3. Every few epochs clusters split into their sub-clusters, or merge with their nearest, by Hastings ratios of a
   Dirichlet process mixture.

Source: Ronen, Finder, Freifeld, "DeepDPM: Deep Clustering With an Unknown Number of Clusters", CVPR 2022.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Literal

import torch
from jaxtyping import Float, Float64, Num
from pydantic import Field, model_validator
from torch import Tensor, nn

from configs.schema import KMeansSettings, OptimiserSettings, PositiveFloat, PositiveInt, Settings, Share
from estimators.kmeans import kmeans
from estimators.on_device import where_float64_is
from estimators.settings import UMAPSettings
from losses.dec import clustering_kl
from losses.deepdpm import log_e_step, subcluster_distance
from losses.normal_inverse_wishart import WishartPrior
from methods.joint import OpenJointConfig, SoftAssignments
from models.autoencoder import ImageShape
from models.batched import BATCH_SIZE
from models.growing_heads import ClusterNetwork, SubclusterNetworks
from parts.growing_mixture import GrowingMixture, Table
from parts.laid_out import LaidOut
from parts.moments import halves, moments_of
from parts.phases import Batch, Compute, FitPhase, GradientPhase, Objective, Phase, epochs_needed
from parts.split_merge import Change, DirichletProcess, Responsibilities, estimate, merge, merges, split, splits
from parts.training_features import TrainingFeatures

FIRST = KMeansSettings(redos=5)
"""Of KMeans, which finds the first clusters."""
FEWEST_IMAGES = 10
"""For each of them."""
SUBCLUSTER_RATE = 5.0
"""So many times the learning rate for the networks of sub-clusters; ten times in the authors' code."""


class PriorSettings(Settings):
    """The normal-inverse-Wishart prior of every cluster, in latents of variance 1."""

    strength: PositiveFloat = 1e-4
    """κ: so many points the prior's mean, that of all latents, counts as."""
    freedom: PositiveFloat = 2.0
    """ν - d, by which ν exceeds the dimensions of the latent."""
    variance: PositiveFloat = 0.05
    """Ψ is so many times the identity: the variance that a cluster is expected to have, beside 1 of all latents."""

    def build(self, points: Float64[Tensor, "n d"]) -> WishartPrior:
        """The prior of clusters of such points, on their device."""
        d = points.shape[1]
        scatter = self.variance * torch.eye(d, dtype=points.dtype, device=points.device)
        return WishartPrior(self.strength, d + self.freedom, torch.zeros_like(scatter[0]), scatter)


class ClusterSettings(Settings):
    """Networks on the resting latent, and how their clusters split and merge."""

    start: PositiveInt = 50
    """Clusters at the beginning, at most one for every 10 images. It need not be near the number that is found."""
    most: PositiveInt = 100
    """Clusters at any time."""
    hidden: PositiveInt = 50
    """Width of the networks' layers."""
    concentration: PositiveFloat = 10.0
    """α of the Dirichlet process: the larger, the more clusters."""
    prior: PriorSettings = PriorSettings()
    rounds: PositiveInt = 21
    """Clusters split after the first, third, fifth, … and merge after the second, fourth, …; not after the last."""
    epochs: PositiveInt = 5
    """Of a round."""
    min_steps: Annotated[int, Field(ge=0)] = 400
    """Of a round: as many epochs more as a small data set needs to reach this number of steps."""
    hold: Share = 0.4
    """Share of a round, at its beginning, in which the mixture is not estimated anew."""
    batch_size: PositiveInt = 256
    optimiser: OptimiserSettings = OptimiserSettings(learning_rate=2e-3)

    @model_validator(mode="after")
    def _there_is_room(self) -> ClusterSettings:
        if self.start > self.most:
            raise ValueError(f"start is {self.start} and most is {self.most}: there must be room for the first ones")
        return self

    def process(self, points: Float64[Tensor, "n d"]) -> DirichletProcess:
        """The model of such points, on their device."""
        return DirichletProcess(self.concentration, self.prior.build(points))


class DeepDPMConfig(OpenJointConfig):
    """Config of DeepDPM."""

    method: Literal["deepdpm"] = "deepdpm"
    layout: UMAPSettings | None = None
    """UMAP of the latents, whose places are clustered. None: the latents themselves are."""
    cluster: ClusterSettings = ClusterSettings()


class Sureness(nn.Module):
    """How sure the number of clusters is.

    Attributes:
        split: log H of the most probable split that was left at the end; -∞ where no cluster could split.
        merge: that of a merge; -∞ with one cluster.
        moves: how many times clusters could split or merge.
        kept: how many of the last of these left all clusters as they were.
    """

    split: Tensor
    merge: Tensor
    moves: Tensor
    kept: Tensor

    def __init__(self) -> None:
        super().__init__()
        for name in ("split", "merge"):
            self.register_buffer(name, torch.tensor(-math.inf))
        for name in ("moves", "kept"):
            self.register_buffer(name, torch.tensor(0))

    def count(self, changed: bool) -> None:
        """One more move, which changed the clusters or did not."""
        self.moves += 1
        self.kept.copy_(torch.zeros_like(self.kept) if changed else self.kept + 1)

    def notes(self, clusters: int, most: int) -> tuple[str, ...]:
        """ "10 clusters found, kept by the last 6 of 20 moves; log H: split -35, merge -210", once that is known.

        Args:
            clusters: that were found.
            most: that there may be.
        """
        moves, kept = int(self.moves), int(self.kept)
        if moves == 0:
            return ()
        ratios = [
            f"{name} {float(value):.3g}"
            for name, value in (("split", self.split), ("merge", self.merge))
            if math.isfinite(float(value))
        ]
        full = " (cluster.most allows no more)" if clusters == most else ""
        found = (
            f"{clusters} cluster{'s' if clusters != 1 else ''} found{full}, kept by the last {kept} of {moves} moves"
        )
        return (f"{found}; log H: {', '.join(ratios)}" if ratios else found,)


class SplittingObjective(Objective):
    """KL(r^E ‖ r) of the network from the mixture's E step, and the distances to sub-clusters (eqs. 3 and 4).

    Args:
        network: r of the clusters, trained.
        subclusters: r̃ within each cluster, trained.
        mixture: estimated between epochs.
        sureness: counts what splits and merges.
        features: of the training images.
        settings: of the step.
        round_epochs: between two moves.
        compute: the machine: one process estimates and decides for all.
    """

    def __init__(
        self,
        network: ClusterNetwork,
        subclusters: SubclusterNetworks,
        mixture: GrowingMixture,
        sureness: Sureness,
        features: TrainingFeatures,
        settings: ClusterSettings,
        round_epochs: int,
        compute: Compute,
    ) -> None:
        super().__init__()
        self.network, self.subclusters, self.mixture, self.sureness = network, subclusters, mixture, sureness
        self.features, self.settings, self.round_epochs, self.compute = features, settings, round_epochs, compute
        self.rate_factors = {"subclusters": SUBCLUSTER_RATE}

    def forward(self, batch: Batch) -> dict[str, Float[Tensor, ""]]:
        z = self.mixture.standardise(self.features(batch.indices.device)[batch.indices])
        log_r = self.network(z, self.mixture.alive)
        clustering = clustering_kl(log_e_step(z, self.mixture.mixture).exp(), log_r)
        label = log_r.detach().argmax(dim=1)
        distance = subcluster_distance(
            z, self.subclusters(self.mixture.within(z, label), label), self.mixture.sub_means[label]
        )
        return {
            "loss": clustering + distance,
            "clustering": clustering,
            "subclusters": distance,
            "clusters": self.mixture.alive.sum().float(),
        }

    @torch.no_grad()
    def restart(self, epoch: int) -> Sequence[nn.Parameter]:
        """Before an epoch: the M step; where a round begins also a move, whose clusters are learnt before the next."""
        number, within = divmod(epoch, self.round_epochs)
        if 0 < within < self.settings.hold * self.round_epochs:
            return ()
        self.features()  # by all processes, before one is alone
        chances = torch.rand(self.settings.most)  # the same in all processes
        if within:
            self.mixture.place(self.compute.once(lambda: self._fitted()[2]))
            return ()
        change = self.compute.once(lambda: self._move(number, chances))
        changed = not torch.equal(change.table.alive, self.mixture.alive.cpu()) or bool(change.fresh.any())
        self.sureness.count(changed)
        self._become(change)
        return (*self.network.output.parameters(), *self.subclusters.parameters()) if changed else ()

    @torch.no_grad()
    def settle(self) -> None:
        """The end: clusters without images are left out, the others take the first rows; what was refused is noted."""
        self.features()
        change, best_split, best_merge = self.compute.once(self._settled)
        self._become(change)
        self.sureness.split.fill_(best_split)
        self.sureness.merge.fill_(best_merge)

    def responsibilities(self) -> Responsibilities:
        """Of all training images, by the networks as they are."""
        z = self.mixture.standardise(self.features(self.mixture.means.device))
        alive, rows = self.mixture.alive, self.mixture.alive.nonzero()[:, 0]
        shares, sub_shares = [], []
        for part in torch.split(z, BATCH_SIZE):
            shares.append(self.network(part, alive)[:, rows].exp())
            own = rows[shares[-1].argmax(dim=1)]
            sub_shares.append(self.subclusters(self.mixture.within(part, own), own).exp())
        points, r, sub = (where_float64_is(x).double() for x in (z, torch.cat(shares), torch.cat(sub_shares)))
        return Responsibilities(points, rows.to(points.device), r, sub)

    def _fitted(self) -> tuple[Responsibilities, DirichletProcess, Table]:
        """The responsibilities for all images, the model of these, and its M step."""
        r = self.responsibilities()
        process = self.settings.process(r.points)
        return r, process, estimate(r, self.settings.most, process.prior)

    def _move(self, number: int, chances: Float[Tensor, " most"]) -> Change:
        """Splits after the first round, the third, …; merges after the others."""
        r, process, table = self._fitted()
        return (split if number % 2 else merge)(r, table, process, chances)

    def _settled(self) -> tuple[Change, float, float]:
        r, process, table = self._fitted()
        filled = r.labels.bincount(minlength=len(r.rows)) > 0
        table.alive[r.rows[~filled].cpu()] = False
        order = (~table.alive).to(torch.uint8).argsort(stable=True)
        change = Change(table.moved(order), order, torch.zeros_like(table.alive))
        ratios = [find(r, process).log_ratios for find in (splits, merges)]
        best_split, best_merge = (float(found.max()) if len(found) else -math.inf for found in ratios)
        return change, best_split, best_merge

    def _become(self, change: Change) -> None:
        self.network.rearrange(change.source)
        self.subclusters.rearrange(change.source, change.fresh)
        self.mixture.place(change.table)


class DeepDPM(SoftAssignments):
    """DeepDPM, as the top of this file describes it.

    Args:
        config: of the run.
        shape: of the images.

    Raises:
        ModelError: when the network does not fit the images, or one of others is not to be had.
    """

    def __init__(self, config: DeepDPMConfig, shape: ImageShape) -> None:
        super().__init__(config, shape)
        self.config = config
        if config.layout is not None:
            self.backbone = LaidOut(self.backbone, config.layout, config.seed)
        cluster, latent = config.cluster, self.backbone.latent
        self.network = ClusterNetwork(latent, cluster.hidden, cluster.most)
        self.subclusters = SubclusterNetworks(latent, cluster.hidden, cluster.most)
        self.mixture = GrowingMixture(latent, cluster.most, cluster.concentration)
        self.sureness = Sureness()

    def phases(self, images: Num[Tensor, "n c h w"], compute: Compute) -> Sequence[Phase]:
        """Of the encoder and the layout. initialise: the first clusters. cluster: they change. settle: the end."""
        cluster, seed, mixture = self.config.cluster, self.config.seed, self.mixture
        features = TrainingFeatures(self.backbone.points, images, compute)
        round_epochs = epochs_needed(len(images), cluster.batch_size, cluster.epochs, cluster.min_steps)
        objective = SplittingObjective(
            self.network, self.subclusters, mixture, self.sureness, features, cluster, round_epochs, compute
        )

        def initialise() -> None:
            z = features()
            mixture.measure(z)
            mixture.place(compute.once(lambda: first_clusters(mixture, z, cluster, seed)))

        everything = nn.ModuleDict(
            {"network": self.network, "subclusters": self.subclusters, "mixture": mixture, "sureness": self.sureness}
        )
        return (
            *self.backbone.phases(images, compute),
            FitPhase("initialise", mixture, initialise),
            GradientPhase(
                name="cluster",
                module=objective,
                optimiser=cluster.optimiser,
                epochs=cluster.rounds * round_epochs,
                batch_size=cluster.batch_size,
                restart=objective.restart,
            ),
            FitPhase("settle", everything, objective.settle),
        )

    @property
    def clusters(self) -> int:
        return len(self.mixture.rows) or self.config.clusters

    @property
    def notes(self) -> tuple[str, ...]:
        return (*super().notes, *self.sureness.notes(self.clusters, self.config.cluster.most))

    def centroid_positions(self) -> Float[Tensor, "k d"]:
        """The means of the clusters in the latent space, on the CPU."""
        return self.mixture.positions().cpu()

    def soft(self, z: Float[Tensor, "n d"]) -> Float[Tensor, "n k"]:
        """r of the clusters that are there."""
        log_r: Tensor = self.network(self.mixture.standardise(z), self.mixture.alive)
        return log_r.exp()[:, self.mixture.rows]


def first_clusters(mixture: GrowingMixture, z: Float[Tensor, "n d"], settings: ClusterSettings, seed: int) -> Table:
    """KMeans' clusters of all latents, in the first rows."""
    points = mixture.standardise(z.to(mixture.means.device)).cpu()
    k = min(settings.start, max(len(z) // FEWEST_IMAGES, 1))
    labels = torch.zeros(len(z), dtype=torch.int64) if k == 1 else kmeans(points, k, FIRST, seed).labels
    points = points.double()
    table = Table.empty(settings.most, points.shape[1])
    sub_means = torch.stack([halves(points[labels == cluster]) for cluster in range(k)])
    table.put(torch.arange(k), moments_of(points, labels, k), sub_means, settings.prior.build(points))
    return table
