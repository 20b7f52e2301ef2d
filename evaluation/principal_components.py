"""What a picture of a principal component analysis needs."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float, Float64
from torch import Tensor


@dataclass(frozen=True)
class Spectrum:
    """Principal components of images of d pixels, by falling variance.

    Attributes:
        ratios: (r,), the share of the total variance that every component explains.
        components: (p, c, h, w), the first of them as images.
        images: how many images were decomposed.
    """

    ratios: Float64[Tensor, " r"]
    components: Float[Tensor, "p c h w"]
    images: int

    def needed(self, share: float) -> int:
        """The least number of components that explain at least `share` of the variance."""
        # Against sums that miss 1 by rounding alone.
        reached = self.ratios.cumsum(0) >= share - 1e-9
        return int(reached.nonzero()[0]) + 1
