"""Images as TensorBoard shows them: grids, enlarged where the images are small."""

from __future__ import annotations

import torch
from jaxtyping import Int64, UInt8
from torch import Tensor

from report.tiles import grid, padded

SMALLEST_SIDE = 48
"""Pixels. The page would blur what it has to enlarge."""

GAP = 2
"""Pixels between images."""


def enlarged(images: UInt8[Tensor, "n c h w"]) -> UInt8[Tensor, "n c H W"]:
    """Every pixel repeated so often that images are at least `SMALLEST_SIDE` high."""
    factor = -(-SMALLEST_SIDE // images.shape[2])
    return images.repeat_interleave(factor, dim=2).repeat_interleave(factor, dim=3)


def in_lines(images: UInt8[Tensor, "n c h w"], columns: int) -> UInt8[Tensor, "3 height width"]:
    """The images row by row."""
    return grid(enlarged(images), min(columns, len(images)), GAP)


def in_pairs(
    above: UInt8[Tensor, "n c h w"], below: UInt8[Tensor, "n c h w"], columns: int
) -> UInt8[Tensor, "3 height width"]:
    """Every image of `above` directly over its partner in `below`, `columns` pairs in a line."""
    lines = zip(torch.split(above, columns), torch.split(below, columns), strict=True)
    tiles = [padded(images, columns) for pair in lines for images in pair]
    return grid(enlarged(torch.cat(tiles)), columns, GAP)


def in_clusters(
    images: UInt8[Tensor, "n c h w"], labels: Int64[Tensor, " n"], clusters: int, columns: int
) -> UInt8[Tensor, "3 height width"]:
    """One row a cluster: its first `columns` members. The row of an empty cluster stays white."""
    members = [(labels == cluster).nonzero().flatten()[:columns] for cluster in range(clusters)]
    tiles = [padded(images[positions], columns) for positions in members]
    return grid(enlarged(torch.cat(tiles)), columns, GAP)
