"""From uint8 pixels to the numbers that a network sees, and back."""

from __future__ import annotations

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn


class Normalise(nn.Module):
    """x = (pixel / 255 - mean) / sd, on the device, with one mean and sd a channel.

    Mean and sd are those of the training images and part of the model's state, so that new images are
    treated as the training images were. Without `fit` they are 0 and 1: pixels from 0 to 1.
    """

    mean: Tensor
    sd: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("sd", torch.ones(channels))

    def fit(self, images: UInt8[Tensor, "n c h w"]) -> None:
        """Take mean and sd from `images`. A constant channel keeps sd 1."""
        # By counts of the 256 values: exact, in one pass, without a float copy of all images.
        values = torch.arange(256, dtype=torch.float64) / 255
        for channel in range(images.shape[1]):
            counts = torch.bincount(images[:, channel].reshape(-1), minlength=256).double()
            weights = counts / counts.sum()
            mean = (weights * values).sum()
            sd = (weights * (values - mean).square()).sum().sqrt()
            self.mean[channel] = mean
            self.sd[channel] = sd if sd > 0 else 1.0

    @property
    def is_identity(self) -> bool:
        """Whether pixels stay from 0 to 1, as they do before `fit`."""
        return bool((self.mean == 0).all() and (self.sd == 1).all())

    def forward(self, images: UInt8[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        return self.standardise(self.unit(images))

    def unit(self, images: UInt8[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        """Pixels from 0 to 1, in the precision of the network."""
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
