"""Squared Euclidean distances of latents to centroids, with gradients to both."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from losses.precision import in_full_precision


@in_full_precision
def squared_distances(z: Float[Tensor, "n d"], centroids: Float[Tensor, "k d"]) -> Float[Tensor, "n k"]:
    """|z_i - r_j|², summed over the d dimensions, at least 0."""
    # The difference is taken before squaring: |z|² - 2 z·r + |r|² cancels badly in float32.
    return (z.unsqueeze(1) - centroids.unsqueeze(0)).square().sum(dim=2)
