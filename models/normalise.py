"""From uint8 pixels, or points, to the numbers that a network sees, and from these to pixels."""

from __future__ import annotations

import torch
from jaxtyping import Float, Num, UInt8
from torch import Tensor, nn

AT_ONCE = 2**16
"""Points."""


class Normalise(nn.Module):
    """x = (pixel / 255 - mean) / sd, on the device, with one mean and sd a channel.

    Mean and sd are those of the training images and part of the model's state, so that new images are
    treated as the training images were. Without `fit` they are 0 and 1: pixels from 0 to 1.

    Points, which are float32, are taken as they are in place of pixel / 255. Every dimension is a channel. Each has its
    own mean, and all have one sd, so that distances between points keep their proportions.
    """

    mean: Tensor
    sd: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("sd", torch.ones(channels))

    def fit(self, images: Num[Tensor, "n c h w"]) -> None:
        """Take mean and sd from `images`. A constant channel keeps sd 1."""
        if images.is_floating_point():
            self._fit_points(images)
            return
        # By counts of the 256 values: exact, in one pass, without a float copy of all images.
        values = torch.arange(256, dtype=torch.float64) / 255
        for channel in range(images.shape[1]):
            counts = torch.bincount(images[:, channel].reshape(-1), minlength=256).double()
            weights = counts / counts.sum()
            mean = (weights * values).sum()
            sd = (weights * (values - mean).square()).sum().sqrt()
            self.mean[channel] = mean
            self.sd[channel] = sd if sd > 0 else 1.0

    def _fit_points(self, points: Float[Tensor, "n d 1 1"]) -> None:
        mean = points.mean(dim=(0, 2, 3), dtype=torch.float64)
        squares = sum((part.double() - mean[:, None, None]).square().sum() for part in torch.split(points, AT_ONCE))
        sd = (torch.as_tensor(squares) / points.numel()).sqrt()
        self.mean.copy_(mean)
        self.sd.fill_(float(sd) if sd > 0 else 1.0)

    @property
    def is_identity(self) -> bool:
        """Whether pixels stay from 0 to 1, as they do before `fit`."""
        return bool((self.mean == 0).all() and (self.sd == 1).all())

    def forward(self, images: Num[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        return self.standardise(self.unit(images))

    def unit(self, images: Num[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        """Pixels from 0 to 1, or points as they are, in the precision of the network."""
        if images.is_floating_point():
            return images.to(self.mean.dtype)
        return unit_pixels(images, self.mean.dtype)

    def standardise(self, pixels: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        """(pixel - mean) / sd of pixels from 0 to 1."""
        return (pixels - self.mean[:, None, None]) / self.sd[:, None, None]

    def invert(self, x: Float[Tensor, "n c h w"]) -> UInt8[Tensor, "n c h w"]:
        """The nearest pixels, clipped to 0 to 255."""
        pixels = (x * self.sd[:, None, None] + self.mean[:, None, None]) * 255
        return pixels.round().clamp(0, 255).to(torch.uint8)


def unit_pixels(images: UInt8[Tensor, "n c h w"], dtype: torch.dtype = torch.float32) -> Float[Tensor, "n c h w"]:
    """Pixels from 0 to 255 as floats from 0 to 1."""
    return images.to(dtype) / 255
