"""The clustering loss of deep k-means: KMeans with a softened minimum, differentiable in latents and centroids.

Source: Moradi Fard, Thonet, Gaussier, "Deep k-Means: Jointly Clustering with k-Means and Learning Representations",
Pattern Recognition Letters 2020, section 3: the reparameterised objective.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from losses.precision import in_full_precision
from losses.squared_distances import squared_distances


@in_full_precision
def softmin(squared: Float[Tensor, "n k"], alpha: float | Float[Tensor, ""]) -> Float[Tensor, "n k"]:
    """G_ij = exp(-α |z_i - r_j|²) / sum over j' of the same; rows sum to 1 and are largest at the nearest centroid.

    Args:
        squared: distances to every centroid, squared.
        alpha: inverse temperature, above 0. At 0 all centroids would count alike; at infinity only the nearest does.
    """
    # softmax subtracts the largest exponent first, so that no α makes a row 0 / 0.
    return torch.softmax(-alpha * squared, dim=1)


@in_full_precision
def soft_kmeans(
    z: Float[Tensor, "n d"], centroids: Float[Tensor, "k d"], alpha: float | Float[Tensor, ""]
) -> Float[Tensor, ""]:
    """Mean over the rows of sum_j |z_i - r_j|² G_ij, at least 0. Gradients flow through distances and G.

    As α grows it falls to KMeans' mean squared distance to the nearest centroid.

    Args:
        z: latents.
        centroids: r, one row a cluster.
        alpha: inverse temperature of `softmin`.
    """
    squared = squared_distances(z, centroids)
    return (squared * softmin(squared, alpha)).sum(dim=1).mean()
