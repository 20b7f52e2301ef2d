"""The places of the images of a fit, found again by the images' bytes.

A layout such as UMAP's gives places to the points that it was fitted to and to no others. An image's point depends in
its last bits on the images that are encoded with it, so that a point alone does not say whether the fit saw its image.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int64, Num
from torch import Tensor

from data.fingerprints import fingerprints
from estimators.base import LaterArrays


class SeenImages(LaterArrays):
    """Images by their fingerprints, each with its place.

    Attributes:
        arrays: fingerprints: (n, size), uint8; and places: (n, e), float32. Empty before `remember`.
    """

    def __init__(self) -> None:
        super().__init__()
        self._rows: dict[bytes, int] = {}

    def remember(self, images: Num[Tensor, "n c h w"], places: Float[Tensor, "n e"]) -> None:
        """Keep the places of these images."""
        self.arrays = {"fingerprints": fingerprints(images), "places": places.float()}
        self._rows = {}

    def rows(self, images: Num[Tensor, "m c h w"]) -> Int64[Tensor, " m"]:
        """Where every image stands among those that were seen; -1 where it was not."""
        if not self.is_fitted:
            return torch.full((len(images),), -1)
        if not self._rows:
            self._rows = {key.numpy().tobytes(): row for row, key in enumerate(self.arrays["fingerprints"])}
        found = [self._rows.get(row.numpy().tobytes(), -1) for row in fingerprints(images)]
        return torch.tensor(found, dtype=torch.int64)

    def recall(self, images: Num[Tensor, "m c h w"], places: Float[Tensor, "m e"]) -> Float[Tensor, "m e"]:
        """The remembered place of every image that was seen, and for the others those in `places`."""
        rows = self.rows(images)
        known = rows >= 0
        if not known.any():
            return places
        recalled = places.clone()
        recalled[known] = self.arrays["places"][rows[known]]
        return recalled

    def set_extra_state(self, state: dict[str, Tensor]) -> None:
        super().set_extra_state(state)
        self._rows = {}
