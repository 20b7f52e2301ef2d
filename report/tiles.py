"""Images side by side, for figures and for TensorBoard."""

from __future__ import annotations

import torch
from einops import rearrange
from jaxtyping import UInt8
from torch import Tensor

WHITE = 255


def grid(images: UInt8[Tensor, "n c h w"], columns: int, gap: int) -> UInt8[Tensor, "3 height width"]:
    """The images row by row, `gap` white pixels around each; places that are left over are white."""
    columns = min(columns, len(images))
    rows = -(-len(images) // columns)
    cells = torch.nn.functional.pad(padded(to_rgb(images), rows * columns), (gap, 0, gap, 0), value=WHITE)
    tiled = rearrange(cells, "(row column) c h w -> c (row h) (column w)", row=rows)
    return torch.nn.functional.pad(tiled, (0, gap, 0, gap), value=WHITE)


def to_rgb(images: UInt8[Tensor, "n c h w"]) -> UInt8[Tensor, "n 3 h w"]:
    """Three channels: colour as it is, without a fourth channel; anything below three as grey."""
    return images[:, :3] if images.shape[1] >= 3 else images[:, :1].expand(-1, 3, -1, -1)


def padded(images: UInt8[Tensor, "n c h w"], count: int) -> UInt8[Tensor, "count c h w"]:
    """The first `count` images, and white ones where there are fewer."""
    missing = max(0, count - len(images))
    white = torch.full((missing, *images.shape[1:]), WHITE, dtype=torch.uint8)
    return torch.cat([images[:count], white])
