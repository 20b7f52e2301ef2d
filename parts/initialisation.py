"""Where clustering begins: centroids or a mixture, fitted to the latents of all training images."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from estimators.base import Clusterer
from estimators.build import build_clusterer
from estimators.settings import GMMSettings, KMeansClustererSettings
from parts.phases import Compute


class Centroids(nn.Module):
    """k centroids in the latent space. Methods derive from it what they train or update beside them.

    Args:
        clusters: k.
        latent: d.
        trained: whether gradients train them. Otherwise a method moves them by hand.
    """

    centroids: Float[Tensor, "k d"]

    def __init__(self, clusters: int, latent: int, *, trained: bool) -> None:
        super().__init__()
        start = torch.zeros(clusters, latent)
        if trained:
            self.centroids = nn.Parameter(start)
        else:
            self.register_buffer("centroids", start)

    def place(self, centroids: Float[Tensor, "k d"]) -> None:
        """Put the centroids where a clusterer found them."""
        with torch.no_grad():
            self.centroids.copy_(centroids)


def fit_clusterer(
    settings: KMeansClustererSettings | GMMSettings, z: Float[Tensor, "n d"], k: int, seed: int, compute: Compute
) -> Clusterer:
    """A clusterer fitted to `z` by one process on its device, and known to all.

    Restarts are chosen among by the clusterer's own criterion: inertia, or likelihood.
    """
    clusterer = build_clusterer(settings)

    def arrays() -> dict[str, Tensor]:
        clusterer.fit(compute.place(z), k, seed)
        return clusterer.arrays

    clusterer.arrays = compute.once(arrays)
    return clusterer
