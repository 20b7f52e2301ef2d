"""Images as a network that others trained wants them: its size, its crop, its mean and standard deviation."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn import functional

from models.autoencoder import ModelError

IMAGENET_MEAN, IMAGENET_SD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of the three channels, on pixels from 0 to 1."""
CLIP_MEAN, CLIP_SD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
"""Of the images that CLIP was trained on."""


@dataclass(frozen=True)
class NetworkInput:
    """What a network was trained to see.

    Attributes:
        size: height and width in pixels.
        resize: the length that an image's shorter side gets before the centre of `size` × `size` is cut out.
        mean: of the three channels.
        sd: of the three channels.
        interpolation: "bicubic" or "bilinear".
        squash: whether both sides get the length `resize`, so that nothing is cut off but the shape is lost.
    """

    size: int
    resize: int
    mean: tuple[float, ...] = IMAGENET_MEAN
    sd: tuple[float, ...] = IMAGENET_SD
    interpolation: str = "bicubic"
    squash: bool = False

    def __call__(self, images: UInt8[Tensor, "n c h w"]) -> Float[Tensor, "n 3 s s"]:
        """Standardised pixels, on the images' device. A grey image gets three equal channels.

        Raises:
            ModelError: for images that are neither grey nor coloured.
        """
        if images.shape[1] not in (1, 3):
            raise ModelError(f"a pretrained network takes images of 1 or 3 channels; received {images.shape[1]}.")
        pixels = images.float() / 255
        height, width = images.shape[2:]
        shorter = min(height, width)
        wanted = [self.resize if self.squash else round(side * self.resize / shorter) for side in (height, width)]
        sides = [max(side, self.size) for side in wanted]
        if sides != [height, width]:
            # With antialiasing, as Pillow resizes, on which these networks were trained.
            mode = self.interpolation if self.interpolation in ("bicubic", "bilinear") else "bicubic"
            pixels = functional.interpolate(pixels, size=sides, mode=mode, antialias=True).clamp(0, 1)
        top, left = ((side - self.size) // 2 for side in sides)
        pixels = pixels[:, :, top : top + self.size, left : left + self.size]
        mean, sd = (torch.tensor(values).view(1, 3, 1, 1).to(images.device) for values in (self.mean, self.sd))
        return (pixels.expand(-1, 3, -1, -1) - mean) / sd
