"""Changes of images' tones, all images at once. Pixels run from 0 to 1.

They are operations of RandAugment (Cubuk, Zoph, Shlens, Le, NeurIPS 2020) and named as there.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

LEVELS = 256
"""Of pixels in files, which posterizing and equalizing count in."""


def smoothed(pixels: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
    """Every pixel the mean of its 3×3 neighbourhood in which it weighs 5 and others 1. Pixels at the edge stay."""
    channels = pixels.shape[1]
    kernel = torch.ones(3, 3, dtype=pixels.dtype, device=pixels.device)
    kernel[1, 1] = 5
    found = pixels.clone()
    found[:, :, 1:-1, 1:-1] = functional.conv2d(pixels, (kernel / 13).expand(channels, 1, 3, 3), groups=channels)
    return found


def solarized(pixels: Float[Tensor, "b c h w"], threshold: Float[Tensor, " b"]) -> Float[Tensor, "b c h w"]:
    """Pixels from each image's threshold on inverted."""
    return torch.where(pixels >= threshold[:, None, None, None], 1 - pixels, pixels)


def posterized(pixels: Float[Tensor, "b c h w"], bits: Float[Tensor, " b"]) -> Float[Tensor, "b c h w"]:
    """The highest bits of each image's pixels, as many as it has, 0 to 8; the others are 0."""
    step = (8 - bits).exp2()[:, None, None, None]
    return (_levels(pixels) / step).floor() * step / (LEVELS - 1)


def autocontrasted(pixels: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
    """Every channel of every image stretched so that it runs from 0 to 1. Where all is equal it stays."""
    least, most = pixels.amin(dim=(2, 3), keepdim=True), pixels.amax(dim=(2, 3), keepdim=True)
    span = most - least
    return torch.where(span > 0, (pixels - least) / torch.where(span > 0, span, 1.0), pixels)


def equalized(pixels: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
    """Every channel of every image with as many pixels in one part of the range as in another, as far as it goes.

    A pixel becomes the share of pixels that are darker. The brightest level counts for nothing, so that it stays white.
    """
    levels = _levels(pixels).long().flatten(2)  # (b, c, h·w)
    counts = torch.zeros(*levels.shape[:2], LEVELS, dtype=torch.int64, device=pixels.device)
    counts.scatter_add_(2, levels, torch.ones_like(levels))
    brightest = counts.gather(2, levels.amax(dim=2, keepdim=True))
    step = (levels.shape[2] - brightest) // (LEVELS - 1)  # (b, c, 1), pixels to a level
    darker = counts.cumsum(dim=2) - counts
    table = ((darker + step // 2) // step.clamp_min(1)).clamp_max(LEVELS - 1)
    flat = table.gather(2, levels).to(pixels.dtype) / (LEVELS - 1)
    return torch.where(step > 0, flat, pixels.flatten(2)).view_as(pixels)


def _levels(pixels: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
    return (pixels * (LEVELS - 1)).round()
