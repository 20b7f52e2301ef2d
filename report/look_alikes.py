"""Images that are nearly the same: a picture saved twice, resized, compressed again, or the next shot of a series.

Two images are compared by what is left of them at 16 × 16 pixels: the correlation of their pixels, their brightness and
their contrast.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from estimators.neighbours import neighbour_graph

SIDE = 16
"""Pixels of a side that images are reduced to; smaller images stay as they are."""
CORRELATION = 0.995
BRIGHTNESS = 8.0
"""Of 255: how far the mean brightness of nearly equal images may differ."""
CONTRAST = 1.25
"""By which factor their contrast may differ."""
LINKS = 32
"""An image is compared with so many of its nearest ones."""
BATCH = 4096


def reduced_pixels(images: UInt8[Tensor, "n c h w"]) -> Float[Tensor, "n d"]:
    """The pixels of images that are reduced to `SIDE`, 0 to 255."""
    height, width = (min(SIDE, length) for length in images.shape[2:])
    parts = [adaptive_avg_pool2d(part.float(), (height, width)).flatten(1) for part in torch.split(images, BATCH)]
    return torch.cat(parts)


class Reduced:
    """Images as they are compared.

    Attributes:
        pattern: (n, d), the pixels about their mean, of length 1; 0 where all pixels are equal.
        brightness: (n,), the mean pixel, 0 to 255.
        contrast: (n,), the pixels' standard deviation.
    """

    def __init__(self, images: UInt8[Tensor, "n c h w"]) -> None:
        pixels = reduced_pixels(images)
        self.brightness: Float[Tensor, " n"] = pixels.mean(dim=1)
        about = pixels - self.brightness.unsqueeze(1)
        self.contrast: Float[Tensor, " n"] = about.square().mean(dim=1).sqrt()
        self.pattern: Float[Tensor, "n d"] = torch.nn.functional.normalize(about, eps=1e-3)

    def alike(self, first: Int64[Tensor, " m"], second: Int64[Tensor, " m"]) -> Tensor:
        """Pair by pair, whether two images are nearly the same, (m,), bool."""
        correlation = (self.pattern[first] * self.pattern[second]).sum(dim=1)
        dark, bright = self.brightness[first], self.brightness[second]
        low = torch.minimum(self.contrast[first], self.contrast[second])
        high = torch.maximum(self.contrast[first], self.contrast[second])
        plain = high < 1  # of an even colour, where no correlation is defined
        return ((dark - bright).abs() <= BRIGHTNESS) & (
            plain | ((correlation >= CORRELATION) & (high <= CONTRAST * low))
        )


def look_alikes(images: UInt8[Tensor, "n c h w"]) -> list[list[int]]:
    """Groups of images that are nearly the same, the largest group first; positions ascend within a group.

    Every image of a group is nearly the same as one of them, so that no chain leads from one picture to another.
    """
    n = len(images)
    if n < 2:
        return []
    reduced = Reduced(images)
    # Brightness beside the pattern, so that plain images find those of their own colour.
    points = torch.cat([reduced.pattern, reduced.brightness.unsqueeze(1) / 255], dim=1)
    neighbours = neighbour_graph(points, min(LINKS + 1, n)).indices
    alike = reduced.alike(torch.arange(n).repeat_interleave(neighbours.shape[1]), neighbours.flatten())
    alike = alike.view(neighbours.shape) & (neighbours != torch.arange(n).unsqueeze(1))
    links = alike.sum(dim=1)
    taken: set[int] = set()
    groups = []
    for middle in links.argsort(descending=True, stable=True)[: int((links > 0).sum())].tolist():
        group = {*neighbours[middle, alike[middle]].tolist(), middle} - taken
        if middle not in taken and len(group) > 1:
            groups.append(sorted(group))
            taken |= group
    return sorted(groups, key=lambda own: (-len(own), own))


def distinct(images: UInt8[Tensor, "n c h w"], order: Int64[Tensor, " m"], count: int) -> Int64[Tensor, " _"]:
    """The first `count` of the images in `order` of which no two are nearly the same.

    Where there are too few of them, the first of the others follow. Only the first 20 times `count` are looked at.
    """
    order = order[: 20 * count]
    if len(order) == 0:
        return order
    reduced = Reduced(images[order])
    chosen: list[int] = []
    for position in range(len(order)):
        if len(chosen) == count:
            break
        others = torch.tensor(chosen, dtype=torch.int64)
        if not bool(reduced.alike(torch.full_like(others, position), others).any()):
            chosen.append(position)
    rest = [position for position in range(len(order)) if position not in set(chosen)]
    return order[torch.tensor([*chosen, *rest[: count - len(chosen)]], dtype=torch.int64)]
