"""What an encoder makes of all training images, kept while it rests."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float, Num
from torch import Tensor

from parts.phases import Compute

CPU = torch.device("cpu")


class TrainingFeatures:
    """Features of all training images, computed once: they are asked for only while the encoder rests.

    Args:
        points: the features of the training images, (n, d), on the CPU, as `ImageEncoder.points` gives them.
        images: the training images.
        compute: the machine.
    """

    def __init__(
        self,
        points: Callable[[Num[Tensor, "n c h w"], Compute], Float[Tensor, "n d"]],
        images: Num[Tensor, "n c h w"],
        compute: Compute,
    ) -> None:
        self.points, self.images, self.compute = points, images, compute
        self._held: dict[torch.device, Float[Tensor, "n d"]] = {}

    def __call__(self, device: torch.device = CPU) -> Float[Tensor, "n d"]:
        """The features, (n, d), on `device`."""
        if CPU not in self._held:
            self._held[CPU] = self.points(self.images, self.compute)
        if device not in self._held:
            self._held[device] = self._held[CPU].to(device)
        return self._held[device]
