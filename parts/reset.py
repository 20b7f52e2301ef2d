"""Restarts within the clustering phase: weights are shrunk and perturbed, and the centroids found anew.

Source: Miklautz et al., "Breaking the Reclustering Barrier in Centroid-based Deep Clustering", ICLR 2025. Shrink and
perturb: Ash, Adams, "On Warm-Starting Neural Network Training", NeurIPS 2020.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated

import torch
from pydantic import Field
from torch import nn

from configs.schema import PositiveInt, Settings, Share
from estimators.settings import KMeansClustererSettings
from models.autoencoder import ModelError
from models.batch_statistics import estimate_statistics
from parts.backbone import Backbone
from parts.initialisation import Centroids, fit_clusterer
from parts.joint_training import ClusteringPhaseSettings, JointTraining
from parts.phases import epochs_needed


class ResetSettings(Settings):
    """What happens every few epochs of the clustering phase."""

    interval: PositiveInt = 20
    """Epochs between two of them, T."""
    min_steps: Annotated[int, Field(ge=0)] = 0
    """As many epochs more as a small data set needs to reach this number of steps: what a reset takes comes back."""
    keep: Share = 0.8
    """Share of every old weight; the rest is a fresh one."""
    subsample: PositiveInt = 10_000
    """At most so many images, drawn at random, on which the centroids are found anew."""
    initialise: KMeansClustererSettings = KMeansClustererSettings(redos=5)


def shrink_and_perturb(backbone: Backbone, keep: float) -> None:
    """θ ← keep · θ + (1 - keep) · fresh, for every layer of the encoder but the last, which makes the embedding.

    The fresh weights come from torch's generator. They are He's whatever began the network, as in the authors' code,
    where biases are uniform within 1 / √fan-in; here they are zero. A fresh batch-norm has scale 1 and shift 0; its
    running statistics are no weights, and stay as they are until `estimate_statistics`.
    """
    fresh = backbone.fresh("he")
    embedding = [module for module in backbone.encoder.modules() if isinstance(module, nn.Linear | nn.Conv2d)][-1]
    spared = {id(parameter) for parameter in embedding.parameters()}
    with torch.no_grad():
        for old, new in zip(backbone.encoder.parameters(), fresh.encoder.parameters(), strict=True):
            if id(old) not in spared:
                old.lerp_(new.to(old), 1 - keep)


class CentroidPhaseSettings(ClusteringPhaseSettings):
    """The clustering phase of methods with centroids, which may be found anew within it."""

    reset: ResetSettings | None = None


def resets(
    training: JointTraining, settings: CentroidPhaseSettings, centroids: Centroids, refresh: Callable[[], object]
) -> Callable[[int], Sequence[nn.Parameter]]:
    """What the clustering phase calls before every epoch; it does nothing where `settings.reset` is None.

    Args:
        training: backbone and images.
        settings: of the phase.
        centroids: placed anew. The optimiser state of their parameters is dropped.
        refresh: the phase's own; called once the new centroids are placed.

    Raises:
        ModelError: when the subsample has fewer images than there are clusters.
    """
    reset, k, seed = settings.reset, training.clusters, training.seed
    if reset is None:
        return lambda epoch: ()
    if reset.subsample < k:
        raise ModelError(
            f"cluster.reset.subsample is {reset.subsample}, and {k} centroids are to be found on it: "
            "make it larger, 10000 as in the paper."
        )
    backbone, images, compute = training.backbone, training.images, training.compute
    interval = epochs_needed(len(images), settings.batch_size, reset.interval, reset.min_steps)

    def restart(epoch: int) -> Sequence[nn.Parameter]:
        if epoch % interval:
            return ()
        shrink_and_perturb(backbone, reset.keep)
        chosen = images[torch.randperm(len(images))[: reset.subsample].sort().values]
        # Those that training has gathered are of weights that are gone.
        estimate_statistics(backbone.encoder, backbone.encode, chosen, backbone.device)
        z = compute.map(backbone.encode, chosen)
        centroids.place(fit_clusterer(reset.initialise, z, k, seed, compute).centroids)
        refresh()
        return tuple(centroids.parameters())

    return restart
