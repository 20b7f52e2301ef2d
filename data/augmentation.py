"""Augmentation of a batch: every image its own random change, all images at once, one resampling for all geometry."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from configs.schema import AugmentationSettings
from data.noise import Noise


class Augmentation:
    """Random crop, flip, rotation, shear and shift as one affine map an image, then brightness and contrast.

    Composing the maps before sampling costs one interpolation instead of four, and blurs once. Beyond its edge an
    image goes on as its edge pixels.
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
        return pixels

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
