"""Where clustering begins: centroids or a mixture, fitted to the latents of all training images."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from configs.schema import RunConfig
from estimators.base import Clusterer
from estimators.build import build_clusterer
from estimators.settings import GMMSettings, KMeansClustererSettings
from parts.phases import Compute, FitPhase


def initialisation(
    settings: KMeansClustererSettings | GMMSettings,
    config: RunConfig,
    images: UInt8[Tensor, "n c h w"],
    compute: Compute,
    encode: Callable[[Tensor], Tensor],
    module: nn.Module,
    place: Callable[[Clusterer], None],
) -> FitPhase:
    """The phase that fits a clusterer to all latents and places the outcome in the method.

    Restarts are chosen among by the clusterer's own criterion: inertia, or likelihood.

    Args:
        settings: of the clusterer.
        config: of the run; k and seed.
        images: the training images.
        compute: the machine.
        encode: images to latents, (n, d).
        module: what holds the outcome.
        place: puts the fitted clusterer's centroids or components into it.
    """

    k, seed = config.clusters, config.seed  # of the config no more, so that runs share the phase

    def fit() -> None:
        z = compute.map(encode, images)
        clusterer = fit_clusterer(settings, z, k, seed, compute)
        with torch.no_grad():
            place(clusterer)

    return FitPhase("initialise", module, fit)


def fit_clusterer(
    settings: KMeansClustererSettings | GMMSettings, z: Float[Tensor, "n d"], k: int, seed: int, compute: Compute
) -> Clusterer:
    """A clusterer fitted to `z` by one process, and known to all."""
    clusterer = build_clusterer(settings)

    def arrays() -> dict[str, Tensor]:
        clusterer.fit(z, k, seed)
        return clusterer.arrays

    clusterer.arrays = compute.once(arrays)
    return clusterer
