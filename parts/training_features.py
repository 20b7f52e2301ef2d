"""What an encoder makes of all training images, kept while it rests."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float, Num
from torch import Tensor

from parts.backbone import Backbone
from parts.phases import Compute

CPU = torch.device("cpu")


class TrainingFeatures:
    """Features of all training images, computed once: they are asked for only while the encoder rests.

    Args:
        encode: images to features, (n, d).
        images: the training images.
        compute: the machine.
    """

    def __init__(self, encode: Callable[[Tensor], Tensor], images: Num[Tensor, "n c h w"], compute: Compute) -> None:
        self.encode, self.images, self.compute = encode, images, compute
        self._held: dict[torch.device, Float[Tensor, "n d"]] = {}

    def __call__(self, device: torch.device = CPU) -> Float[Tensor, "n d"]:
        """The features, (n, d), on `device`."""
        if CPU not in self._held:
            self._held[CPU] = self._computed()
        if device not in self._held:
            self._held[device] = self._held[CPU].to(device)
        return self._held[device]

    def _computed(self) -> Float[Tensor, "n d"]:
        return self.compute.map(self.encode, self.images)


class BackboneFeatures(TrainingFeatures):
    """Features of a backbone alone, which may know them already.

    Args:
        backbone: gives the features.
        images: the training images.
        compute: the machine.
    """

    def __init__(self, backbone: Backbone, images: Num[Tensor, "n c h w"], compute: Compute) -> None:
        super().__init__(backbone.encode, images, compute)
        self.backbone = backbone

    def _computed(self) -> Float[Tensor, "n d"]:
        return self.backbone.points(self.images, self.compute)
