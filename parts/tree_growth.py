"""How a cluster tree grows: its widest leaf is split by KMeans with k = 2.

Source: Mautz, Plant, Böhm, "DeepECT: The Deep Embedded Cluster Tree", Data Science and Engineering 2020, section 2.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64, Num
from torch import Tensor

from estimators.kmeans import nearest_centroid
from estimators.settings import KMeansClustererSettings
from parts.cluster_tree import ClusterTree
from parts.initialisation import fit_clusterer
from parts.phases import Compute


@dataclass(frozen=True)
class TreeGrowth:
    """Splits the leaves of a tree by the latents of all training images.

    Attributes:
        tree: that grows.
        encode: images to latents.
        images: the training images.
        compute: the machine.
        halving: KMeans' settings.
        seed: of KMeans.
        batch_size: images a step, of which a leaf's weight is its share.
    """

    tree: ClusterTree
    encode: Callable[[Num[Tensor, "n c h w"]], Float[Tensor, "n d"]]
    images: Num[Tensor, "n c h w"]
    compute: Compute
    halving: KMeansClustererSettings
    seed: int
    batch_size: int

    def plant(self) -> None:
        """The root and its two leaves."""
        self.tree.plant(*self._halves(self._latents()))

    def assign(self) -> Int64[Tensor, " n"]:
        """The leaf of every image, by its number in the tree, on the CPU."""
        return self._leaves(self._latents())[0]

    def grow(self) -> bool:
        """Split the leaf with the largest sum of squared distances; whether there was one to split and room for it."""
        if bool(self.tree.leaves.all()):
            return False
        z = self._latents()
        labels, squared = self._leaves(z)
        leaf = widest(z, labels, squared, self.tree.capacity)
        if leaf is None:
            return False
        self.tree.split(leaf, *self._halves(z[labels == leaf]))
        return True

    def _latents(self) -> Float[Tensor, "n d"]:
        return self.compute.map(self.encode, self.images)

    def _leaves(self, z: Float[Tensor, "n d"]) -> tuple[Int64[Tensor, " n"], Float[Tensor, " n"]]:
        """The leaf of every latent and the squared distance to it, on the CPU."""
        numbers = self.tree.leaves.nonzero().flatten()
        nearest, squared = nearest_centroid(self.compute.place(z), self.tree.centroids.detach()[numbers])
        return numbers[nearest].cpu(), squared.cpu()

    def _halves(self, z: Float[Tensor, "m d"]) -> tuple[Float[Tensor, "2 d"], Float[Tensor, " 2"]]:
        """The centroids of two halves, and how many latents of a batch each has."""
        found = fit_clusterer(self.halving, z, 2, self.seed, self.compute)
        halves = nearest_centroid(z, found.centroids.cpu())[0]
        return found.centroids, halves.bincount(minlength=2) * (self.batch_size / len(self.images))


def widest(
    z: Float[Tensor, "n d"], labels: Int64[Tensor, " n"], squared: Float[Tensor, " n"], leaves: int
) -> int | None:
    """The leaf with the largest sum of squared distances among those that two centroids can divide; None without one.

    Args:
        z: latents.
        labels: the leaf of every latent, 0 to `leaves` - 1.
        squared: the squared distance of every latent to its leaf's centroid.
        leaves: how many numbers there are.
    """
    sums = torch.zeros(leaves, dtype=torch.float64).index_add_(0, labels, squared.double())
    for leaf in sums.argsort(descending=True, stable=True).tolist():
        own = z[labels == leaf]
        if len(own) > 1 and bool((own != own[0]).any()):
            return int(leaf)
    return None
