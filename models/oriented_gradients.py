"""Histograms of oriented gradients: where in an image edges of which direction lie, whatever the brightness.

Source: Dalal, Triggs, "Histograms of Oriented Gradients for Human Detection", CVPR 2005 (HOG).
"""

from __future__ import annotations

import math
from typing import Annotated

import torch
from einops import rearrange
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from configs.schema import Settings
from losses.precision import in_full_precision
from models.autoencoder import ImageShape, refuse_points

CLIP = 0.2
"""The largest entry of a block of length 1, before its length is made 1 again ("L2-Hys")."""
FAINT = 0.1
"""The length, beside that of a block, below which its gradients fade: noise in an empty corner is no edge."""
LEAST_CELL = 2
"""Pixels."""


class HOGSettings(Settings):
    """Histograms of oriented gradients."""

    cells: Annotated[int, Field(ge=2)] = 7
    """Cells along each side of the image; fewer where one would be under two pixels wide."""
    directions: Annotated[int, Field(ge=2)] = 9
    """Bins of half a circle: an edge from dark to light is the same as one from light to dark."""


class OrientedGradients(nn.Module):
    """The descriptor of an image of any size; there is nothing in it to train.

    Args:
        shape: of the images.
        settings: of the histograms.
    """

    rows: Tensor
    columns: Tensor

    def __init__(self, shape: ImageShape, settings: HOGSettings) -> None:
        super().__init__()
        refuse_points(shape, "a histogram of oriented gradients")
        self.directions = settings.directions
        for name, pixels in (("rows", shape.height), ("columns", shape.width)):
            cells = max(min(settings.cells, pixels // LEAST_CELL), 1)
            self.register_buffer(name, shares(pixels, cells), persistent=False)

    @property
    def size(self) -> int:
        """Numbers that describe an image: 4 · directions for each block of 2 × 2 cells."""
        return 4 * self.directions * max(len(self.rows) - 1, 1) * max(len(self.columns) - 1, 1)

    @in_full_precision
    def forward(self, pixels: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d"]:
        """The descriptor, length 1 in every block that is not faint.

        Args:
            pixels: from 0 to 1.
        """
        cells = self.rows @ self._votes(pixels) @ self.columns.T  # (n, directions, rows, columns)
        if min(cells.shape[2:]) < 2:
            cells = functional.pad(cells, (0, max(2 - cells.shape[3], 0), 0, max(2 - cells.shape[2], 0)))
        blocks = cells.unfold(2, 2, 1).unfold(3, 2, 1)
        blocks = rearrange(blocks, "n d r c y x -> n r c (d y x)")
        return rearrange(_unit(_unit(blocks).clamp(max=CLIP)), "n r c d -> n (r c d)")

    def _votes(self, pixels: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d h w"]:
        """Every pixel's gradient, as long as it is, shared between the two bins nearest its direction."""
        padded = functional.pad(pixels, (1, 1, 1, 1), mode="replicate")
        across = padded[:, :, 1:-1, 2:] - padded[:, :, 1:-1, :-2]
        down = padded[:, :, 2:, 1:-1] - padded[:, :, :-2, 1:-1]
        # Of several channels the one that changes most.
        length, channel = (across.square() + down.square()).max(dim=1, keepdim=True)
        across, down = across.gather(1, channel).squeeze(1), down.gather(1, channel).squeeze(1)
        place = torch.atan2(down, across) / math.pi * self.directions
        centres = torch.arange(self.directions, device=pixels.device, dtype=pixels.dtype)
        apart = (place.unsqueeze(1) - centres[:, None, None]).remainder(self.directions)
        apart = torch.minimum(apart, self.directions - apart)
        return length.sqrt() * (1 - apart).clamp_min(0)


def _unit(blocks: Float[Tensor, "n r c d"]) -> Float[Tensor, "n r c d"]:
    return blocks / (blocks.square().sum(dim=3, keepdim=True) + FAINT**2).sqrt()


def shares(pixels: int, cells: int) -> Float[Tensor, "cells pixels"]:
    """How much of each pixel counts for each cell along one side: less with its distance to the cell's centre.

    Between two cells' centres a pixel is shared by both, so that an edge that moves by a pixel moves the histogram a
    little. Beyond the outermost centres the rest of its vote is lost.
    """
    centres = (torch.arange(cells) + 0.5) * pixels / cells
    places = torch.arange(pixels) + 0.5
    return (1 - (places - centres[:, None]).abs() * cells / pixels).clamp_min(0)
