"""Small pictures of all images, many in one file, so that a page of 50,000 loads what is looked at alone."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Int64, UInt8
from PIL import Image
from torch import Tensor
from torch.nn.functional import interpolate

from report.tiles import padded, to_rgb

SIDE = 128
"""Pixels of the longer side at most."""
COLUMNS, ROWS = 10, 10
LOSSLESS = 48
"""Up to so many pixels a side, where every one counts, sheets are PNG; else JPEG."""


class Cell(NamedTuple):
    """One image's place on a sheet: its size in pixels, the images a line and a sheet, and the files' ending."""

    width: int
    height: int
    columns: int
    per_sheet: int
    ending: str


def write_sheets(images: UInt8[Tensor, "n c h w"], order: Int64[Tensor, " n"], folder: Path) -> Cell:
    """Write the images in `order`, a hundred a file: 0.png, 1.png, … in `folder`.

    Raises:
        OSError: they cannot be written.
    """
    height, width = images.shape[2:]
    scale = min(1.0, SIDE / max(height, width))
    size = max(1, round(height * scale)), max(1, round(width * scale))
    ending = "png" if max(size) <= LOSSLESS else "jpg"
    for number, positions in enumerate(torch.split(order, COLUMNS * ROWS)):
        part = to_rgb(images[positions])
        if size != (height, width):
            part = interpolate(part.float(), size, mode="area").round().to(torch.uint8)
        lines = -(-len(part) // COLUMNS)
        sheet = rearrange(padded(part, lines * COLUMNS), "(row column) c h w -> (row h) (column w) c", row=lines)
        # Little is gained by an optimised file, and much time lost.
        Image.fromarray(np.ascontiguousarray(sheet.numpy())).save(folder / f"{number}.{ending}", quality=88)
    return Cell(size[1], size[0], COLUMNS, COLUMNS * ROWS, ending)
