"""The space of deep embedded k-means: axes by how little cluster structure they show, and what latents are drawn to.

Source: Guo, Lin, Ye, "Deep Embedded K-Means Clustering", ICDM Workshops 2021 (arXiv 2109.15149), section III.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor
from torch.nn import functional

from losses.precision import in_full_precision


@in_full_precision
def within_scatter(
    z: Float[Tensor, "n d"], centroids: Float[Tensor, "k d"], labels: Int64[Tensor, " n"]
) -> Float64[Tensor, "d d"]:
    """S_w = sum over clusters i and their latents h of (h - μ_i)(h - μ_i)^T, in float64.

    Args:
        z: latents h.
        centroids: μ.
        labels: the cluster of every latent, 0 to k - 1.
    """
    deviations: Tensor = z.double() - centroids.double()[labels]
    return deviations.T @ deviations


@in_full_precision
def scatter_basis(scatter: Float64[Tensor, "d d"]) -> Float64[Tensor, "d d"]:
    """V: the orthonormal eigenvectors of a symmetric matrix as columns, by ascending eigenvalue.

    In y = h V the last coordinate is the one along which the clusters are widest: of the least cluster structure, or
    the largest entropy. The sign of a column is arbitrary, and the loss does not depend on it.
    """
    vectors: Tensor = torch.linalg.eigh(scatter).eigenvectors
    return vectors


@in_full_precision
def drawn_to_centroids(
    z: Float[Tensor, "n d"], centroids: Float[Tensor, "k d"], labels: Int64[Tensor, " n"], basis: Float[Tensor, "d d"]
) -> Float[Tensor, "n d"]:
    """The target of every y = h V: y itself, but for the last coordinate, which is that of its centroid's y.

    Args:
        z: latents h.
        centroids: μ.
        labels: the cluster of every latent.
        basis: V.
    """
    target = z @ basis
    target[:, -1] = (centroids @ basis[:, -1])[labels]
    return target


@in_full_precision
def turned_mse(z: Float[Tensor, "n d"], basis: Float[Tensor, "d d"], target: Float[Tensor, "n d"]) -> Float[Tensor, ""]:
    """Mean over latents and coordinates of (h V - target)², at least 0.

    Args:
        z: latents h; the gradient flows through them.
        basis: V.
        target: of every latent, held fixed.
    """
    return functional.mse_loss(z @ basis, target)
