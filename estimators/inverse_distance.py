"""Places of new points between the places of the training points nearest to them.

Source: Shepard, "A two-dimensional interpolation function for irregularly-spaced data", ACM 1968.
"""

from __future__ import annotations

from hashlib import blake2b

import torch
from jaxtyping import Float32, Int64
from torch import Tensor

from estimators.base import RepresentationError
from estimators.extension import nearest


class InverseDistance:
    """The mean of the places of the nearest known points, weighted by their inverse squared distance.

    A known point has its own place, as the weight of the distance 0 asks for; it is found by its bytes, which spares
    the search and changes nothing. Points come one by one or together, the answer is the same.

    Args:
        points: (u, d), the known points, all of them different.
        places: (u, e), theirs.
        count: how many of the nearest points have a say.
    """

    def __init__(self, points: Float32[Tensor, "u d"], places: Float32[Tensor, "u e"], count: int) -> None:
        self.places = places
        self._points = points
        self._count = min(count, len(points))
        self._rows = {digest: row for row, digest in enumerate(_digests(points))}

    def transform(self, points: Float32[Tensor, "m d"]) -> Float32[Tensor, "m e"]:
        """The places of any points.

        Raises:
            RepresentationError: when a value is not finite.
        """
        if not bool(torch.isfinite(points).all()):
            raise RepresentationError("new points must be finite; received NaN or infinity.")
        rows = torch.tensor([self._rows.get(digest, -1) for digest in _digests(points)], dtype=torch.int64)
        places = self.places[rows.clamp(min=0)]
        unknown = rows < 0
        if bool(unknown.any()):
            places[unknown] = self.between(points[unknown])
        return places

    def between(self, points: Float32[Tensor, "m d"]) -> Float32[Tensor, "m e"]:
        """The places of any points by search alone."""
        squared, indices = nearest(points, self._points, self._count)
        # In units of the nearest distance: nothing overflows. The sums run in a fixed order, whatever the batch.
        weights = squared[:, :1] / squared
        total = torch.zeros(len(points), 1, dtype=torch.float64)
        places = torch.zeros(len(points), self.places.shape[1], dtype=torch.float64)
        for weight, index in zip(weights.T, indices.T, strict=True):
            total += weight[:, None]
            places += weight[:, None] * self.places[index]
        return torch.where(squared[:, :1] == 0, self.places[indices[:, 0]], (places / total).float())


def distinct_rows(
    points: Float32[Tensor, "n d"], places: Float32[Tensor, "n e"]
) -> tuple[Int64[Tensor, " u"], Float32[Tensor, "u e"]]:
    """The first row of every distinct point, ascending, and the mean of the places of all rows equal to it."""
    number: dict[bytes, int] = {}
    group = torch.tensor([number.setdefault(digest, len(number)) for digest in _digests(points)], dtype=torch.int64)
    sums = torch.zeros(len(number), places.shape[1], dtype=torch.float64).index_add_(0, group, places.double())
    rows = torch.full((len(number),), len(points)).scatter_reduce_(0, group, torch.arange(len(points)), "amin")
    return rows, (sums / group.bincount()[:, None]).float()


def _digests(points: Float32[Tensor, "n d"]) -> list[bytes]:
    """A hash of the bytes of every row; 0 and -0 count as the same."""
    return [blake2b(row, digest_size=16).digest() for row in (points + 0.0).numpy()]
