"""The phases that joint methods have in common: a pretrained backbone, a clustering of its latents, both trained on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated

import torch
from jaxtyping import Int64, Num
from pydantic import Field
from torch import Tensor, nn

from configs.schema import OptimiserSettings, PositiveInt, Settings
from estimators.base import Clusterer
from estimators.settings import GMMSettings, KMeansClustererSettings
from parts.backbone import Backbone
from parts.initialisation import Centroids, fit_clusterer
from parts.phases import Compute, FitPhase, GradientPhase, Objective, Phase, epochs_needed

GROWS_FROM = 60_000
"""Images from which on passes over all of them become rarer."""


class ClusteringPhaseSettings(Settings):
    """What the clustering phases of all joint methods have; methods add their own."""

    update_interval: PositiveInt = 140
    """Steps between two assignments of the whole training set."""
    update_grows: bool = True
    """Above 60,000 images, so many times as many steps: an epoch has as many of these passes as on 60,000, and an image
    costs the same. False: as in the papers, whose passes take ever more of the time."""
    max_epochs: PositiveInt = 10
    min_steps: Annotated[int, Field(ge=0)] = 1000
    """As many epochs more as a small data set needs to reach this number of steps."""
    batch_size: PositiveInt = 256
    optimiser: OptimiserSettings = OptimiserSettings(learning_rate=1e-4)

    def epochs(self, images: int) -> int:
        """Of so many training images, at most."""
        return epochs_needed(images, self.batch_size, self.max_epochs, self.min_steps)

    def refresh_interval(self, images: int) -> int:
        """Steps between two passes over so many training images."""
        return round(self.update_interval * max(images / GROWS_FROM, 1)) if self.update_grows else self.update_interval


@dataclass(frozen=True)
class JointTraining:
    """Makes the phases of one method on one set of images.

    What a phase's functions hold is in its key (`engine.phase_keys`). So they hold what they use, and not all of this.

    Attributes:
        backbone: whose latents are clustered.
        images: the training images.
        compute: the machine.
        clusters: k.
        seed: of the clusterers.
    """

    backbone: Backbone
    images: Num[Tensor, "n c h w"]
    compute: Compute
    clusters: int
    seed: int

    def pretrain(self) -> Sequence[Phase]:
        """The backbone on its own objective."""
        return self.backbone.phases(self.images, self.compute)

    def initialise(
        self,
        settings: KMeansClustererSettings | GMMSettings,
        module: nn.Module,
        place: Callable[[Clusterer], None],
    ) -> FitPhase:
        """A clusterer, fitted to the latents of all images; `place` puts its outcome into `module`."""
        encode, images, compute, k, seed = self.backbone.encode, self.images, self.compute, self.clusters, self.seed

        def fit() -> None:
            clusterer = fit_clusterer(settings, compute.map(encode, images), k, seed, compute)
            with torch.no_grad():
                place(clusterer)

        return FitPhase("initialise", module, fit)

    def initialise_centroids(self, settings: KMeansClustererSettings, centroids: Centroids) -> FitPhase:
        """KMeans on the latents of all images."""

        def place(clusterer: Clusterer) -> None:
            centroids.place(clusterer.centroids)

        return self.initialise(settings, centroids, place)

    def cluster(
        self,
        settings: ClusteringPhaseSettings,
        objective: Objective,
        refresh: Callable[[], Int64[Tensor, " n"]],
        *,
        tol: float = 0.0,
        restart: Callable[[int], Sequence[nn.Parameter]] | None = None,
        validates: bool = False,
    ) -> GradientPhase:
        """Backbone and clusters together, on `objective`; the rest as `GradientPhase` has it."""
        return GradientPhase(
            name="cluster",
            module=objective,
            optimiser=settings.optimiser,
            epochs=settings.epochs(len(self.images)),
            batch_size=settings.batch_size,
            refresh=refresh,
            refresh_interval=settings.refresh_interval(len(self.images)),
            clusters=self.clusters,
            tol=tol,
            restart=restart,
            validates=validates,
        )
