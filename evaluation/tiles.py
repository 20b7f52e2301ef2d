"""Images side by side, for figures and for TensorBoard."""

from __future__ import annotations

import torch
from jaxtyping import UInt8
from torch import Tensor
from torchvision.utils import make_grid

WHITE = 255


def grid(images: UInt8[Tensor, "n c h w"], columns: int, gap: int) -> UInt8[Tensor, "3 height width"]:
    """The images row by row, `gap` white pixels around each; places that are left over are white."""
    tiled: Tensor = make_grid(to_rgb(images), nrow=columns, padding=gap, pad_value=WHITE)
    return tiled


def to_rgb(images: UInt8[Tensor, "n c h w"]) -> UInt8[Tensor, "n 3 h w"]:
    """Three channels: colour as it is, without a fourth channel; anything below three as grey."""
    return images[:, :3] if images.shape[1] >= 3 else images[:, :1].expand(-1, 3, -1, -1)


def padded(images: UInt8[Tensor, "n c h w"], count: int) -> UInt8[Tensor, "count c h w"]:
    """The first `count` images, and white ones where there are fewer."""
    missing = max(0, count - len(images))
    white = torch.full((missing, *images.shape[1:]), WHITE, dtype=torch.uint8)
    return torch.cat([images[:count], white])
