"""The whole spectrum of the pixels' covariance, to be looked at.

To reduce points, take `representations.pca`; a picture of the explained variance needs every eigenvalue.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Float64, UInt8
from torch import Tensor

from evaluation.selection import seeded_draw

LARGEST_MATRIX = 4000
"""Rows and columns that are decomposed at most: about a minute and half a GB. Beyond, so many images are drawn."""

BLOCK = 4096
"""Rows or columns that are widened to 8 bytes at a time."""


@dataclass(frozen=True)
class Spectrum:
    """Principal components of n images of d pixels, by falling variance.

    Attributes:
        ratios: (r,), the share of the total variance that every component explains; r is at most min(n, d).
        components: (p, c, h, w), the first of them as images of length 1.
        images: how many images were decomposed.
    """

    ratios: Float64[Tensor, " r"]
    components: Float[Tensor, "p c h w"]
    images: int

    def needed(self, share: float) -> int:
        """The number of components that explain at least `share` of the variance."""
        # Against shares that miss 1 by rounding alone.
        reached = self.ratios.cumsum(0) >= share - 1e-9
        return int(reached.nonzero()[0]) + 1


def spectrum(images: UInt8[Tensor, "n c h w"], components: int) -> Spectrum | None:
    """Exact, by the eigenvalues of the covariance, or of the Gram matrix where there are fewer images than pixels.

    Where both are more than `LARGEST_MATRIX`, that many images are drawn with seed 0.

    Args:
        images: at least one.
        components: how many are returned as images; fewer where there are fewer.

    Returns:
        None where all images are equal: there is no variance to explain.
    """
    chosen = images
    if min(len(images), images[0].numel()) > LARGEST_MATRIX:
        chosen = images[seeded_draw(len(images), LARGEST_MATRIX)]
    points = chosen.flatten(1)
    n, d = points.shape
    values, vectors = _by_gram_matrix(points, components) if n < d else _by_covariance(points)
    values = values.clamp(min=0)
    if values.sum() <= 0:
        return None
    shown = min(components, int((values > 1e-9 * values[0]).sum()))
    units = torch.nn.functional.normalize(vectors[:, :shown], dim=0).T.float()
    return Spectrum(values / values.sum(), units.reshape(shown, *images.shape[1:]), n)


def _by_covariance(points: UInt8[Tensor, "n d"]) -> tuple[Float64[Tensor, " d"], Float64[Tensor, "d d"]]:
    mean = _mean(points)
    covariance = torch.zeros(points.shape[1], points.shape[1], dtype=torch.float64)
    for block in torch.split(points, BLOCK):
        centred = block - mean
        covariance.addmm_(centred.T, centred)
    return _by_falling_value(covariance)


def _by_gram_matrix(
    points: UInt8[Tensor, "n d"], components: int
) -> tuple[Float64[Tensor, " n"], Float64[Tensor, "d p"]]:
    # XXᵀu = λu makes Xᵀu an eigenvector of XᵀX with the same λ; X is centred.
    blocks = torch.split(points, BLOCK, dim=1)
    gram = torch.zeros(len(points), len(points), dtype=torch.float64)
    for block in blocks:
        centred = block - _mean(block)
        gram.addmm_(centred, centred.T)
    values, vectors = _by_falling_value(gram)
    return values, torch.cat([(block - _mean(block)).T @ vectors[:, :components] for block in blocks])


def _mean(points: UInt8[Tensor, "n d"]) -> Float64[Tensor, " d"]:
    return points.sum(dim=0, dtype=torch.int64).double() / len(points)


def _by_falling_value(matrix: Tensor) -> tuple[Tensor, Tensor]:
    values, vectors = torch.linalg.eigh(matrix)
    return values.flip(0), vectors.flip(1)
