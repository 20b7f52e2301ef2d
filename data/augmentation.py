"""Augmentation of a batch: every image its own random change, all images at once, one resampling for all geometry.

Source of the square that is hidden: DeVries, Taylor, "Improved Regularization of Convolutional Neural Networks with
Cutout", 2017.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional

from configs.schema import AugmentationSettings
from data.noise import Noise
from data.tones import autocontrasted, equalized, posterized, smoothed, solarized

BITS = 4, 7
"""The fewest and the most that a posterized image keeps."""


class Augmentation:
    """Random crop, flip, rotation, shear and shift as one affine map an image, changes of tone, and a hidden square.

    Composing the maps before sampling costs one interpolation instead of four, and blurs once. Beyond its edge an
    image goes on as its edge pixels. What is off draws no random numbers.
    """

    def __init__(self, settings: AugmentationSettings) -> None:
        self.settings = settings
        s = settings
        self._moves = any((s.shift, s.rotation, s.shear, s.crop, s.flip))
        self._recolours = any((s.brightness, s.contrast))

    def __call__(self, pixels: Float[Tensor, "b c h w"], noise: Noise) -> Float[Tensor, "b c h w"]:
        """Changed images of the same shape.

        Args:
            pixels: 0 to 1.
            noise: random numbers, one row an image.
        """
        if self._moves:
            theta = self.affine_maps(noise, pixels.shape[3] / pixels.shape[2])
            grid = functional.affine_grid(theta, list(pixels.shape), align_corners=False)
            pixels = functional.grid_sample(pixels, grid, padding_mode="border", align_corners=False)
        if self._recolours:
            pixels = self._recolour(pixels, noise)
        if self.settings.sharpness:
            loss = self.settings.sharpness * noise.uniform(1)[:, :, None, None]  # (b, 1, 1, 1)
            pixels = pixels + loss * (smoothed(pixels) - pixels)
        pixels = self._retone(pixels, noise)
        return self._hide_a_square(pixels, noise) if self.settings.cutout else pixels

    def affine_maps(self, noise: Noise, aspect: float) -> Float[Tensor, "b 2 3"]:
        """For every image the map from output to input coordinates, both -1 to 1 over the image.

        Args:
            noise: random numbers, one row an image.
            aspect: width / height; a rotation is one in pixels, not in these coordinates.
        """
        s = self.settings
        u = noise.uniform(7)  # (b, 7)
        signed = 2 * u - 1
        side = (1 - s.crop * u[:, 0]).sqrt()  # the crop's area is uniform between 1 - crop and 1
        mirror = torch.where(u[:, 1] < s.flip, -1.0, 1.0)
        angle = signed[:, 2] * math.radians(s.rotation)
        cos, sin = angle.cos() * side, angle.sin() * side
        slant = torch.tan((2 * noise.uniform(1)[:, 0] - 1) * math.radians(s.shear)) if s.shear else 0.0
        # Anywhere that the crop fits, and the shift on top: a side is 2 long in these coordinates.
        moved = signed[:, 3:5] * (1 - side)[:, None] + 2 * s.shift * signed[:, 5:7]
        rows = [
            torch.stack([cos * mirror, (cos * slant - sin) / aspect, moved[:, 0]], dim=1),
            torch.stack([sin * aspect * mirror, sin * slant + cos, moved[:, 1]], dim=1),
        ]
        return torch.stack(rows, dim=1)

    def _recolour(self, pixels: Float[Tensor, "b c h w"], noise: Noise) -> Float[Tensor, "b c h w"]:
        signed = (2 * noise.uniform(2) - 1)[:, :, None, None, None]  # (b, 2, 1, 1, 1)
        pixels = pixels * (1 + self.settings.brightness * signed[:, 0])
        mean = pixels.mean(dim=(1, 2, 3), keepdim=True)
        return (mean + (pixels - mean) * (1 + self.settings.contrast * signed[:, 1])).clamp(0, 1)

    def _retone(self, pixels: Float[Tensor, "b c h w"], noise: Noise) -> Float[Tensor, "b c h w"]:
        """Changes that some images undergo and others do not."""
        s = self.settings
        if s.solarize:
            u = noise.uniform(2)
            pixels = _of_some(u[:, 0] < s.solarize, solarized(pixels, u[:, 1]), pixels)
        if s.posterize:
            u = noise.uniform(2)
            bits = (BITS[0] + u[:, 1] * (BITS[1] - BITS[0] + 1)).floor()
            pixels = _of_some(u[:, 0] < s.posterize, posterized(pixels, bits), pixels)
        if s.autocontrast:
            pixels = _of_some(noise.uniform(1)[:, 0] < s.autocontrast, autocontrasted(pixels), pixels)
        if s.equalize:
            pixels = _of_some(noise.uniform(1)[:, 0] < s.equalize, equalized(pixels), pixels)
        return pixels

    def _hide_a_square(self, pixels: Float[Tensor, "b c h w"], noise: Noise) -> Float[Tensor, "b c h w"]:
        """A square of a random side around a random place takes the mean of its image, channel by channel.

        A part of the square may lie beyond the edge.
        """
        h, w = pixels.shape[2:]
        u = noise.uniform(3)[:, :, None]  # (b, 3, 1)
        half = self.settings.cutout * min(h, w) * u[:, 0] / 2
        rows, columns = (torch.arange(side, device=pixels.device) + 0.5 for side in (h, w))
        tall, wide = ((rows - u[:, 1] * h).abs() < half), ((columns - u[:, 2] * w).abs() < half)  # (b, h), (b, w)
        hidden = (tall[:, :, None] & wide[:, None, :])[:, None]  # (b, 1, h, w)
        return torch.where(hidden, pixels.mean(dim=(2, 3), keepdim=True), pixels)


def _of_some(
    which: Bool[Tensor, " b"], changed: Float[Tensor, "b c h w"], others: Float[Tensor, "b c h w"]
) -> Float[Tensor, "b c h w"]:
    return torch.where(which[:, None, None, None], changed, others)
