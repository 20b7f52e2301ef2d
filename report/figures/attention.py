"""What the network looks at: typical images of every cluster, each beside its map of attention."""

from __future__ import annotations

import math

import matplotlib
import torch
from jaxtyping import Float, UInt8
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor
from torch.nn import functional

from evaluation.predictions import Predictions
from report.figures.samples import describe, typical
from report.figures.style import gap, new_picture_figure, rows_of, subject
from report.selection import centroid_distances
from report.tiles import to_rgb

PAIRS = 6
"""Images a cluster, each beside its map."""
COLOURS = "inferno"
OPACITY = 0.65
"""Of the map on the picture."""


def attention(predictions: Predictions) -> Figure | None:
    """One row a cluster: its most typical images, and on each of them where the network looks. Needs attention."""
    maps, images = predictions.attention, predictions.images.images
    if maps is None:
        return None
    clusters = range(predictions.clusters)
    distance = centroid_distances(predictions)
    rows = [typical(predictions, distance, cluster)[:PAIRS] for cluster in clusters]
    shown = torch.cat(rows)
    pictures = torch.stack([to_rgb(images[shown]), overlaid(images[shown], maps[shown])], dim=1).flatten(0, 1)
    ends = torch.tensor([len(row) for row in rows]).cumsum(0).tolist()
    places = [torch.arange(2 * (end - len(row)), 2 * end) for end, row in zip(ends, rows, strict=True)]

    figure = new_picture_figure(height=0.5 * predictions.clusters * images.shape[2] / images.shape[3] + 0.7)
    axes = figure.subplots()
    axes.imshow(rows_of(pictures, places, 2 * PAIRS))
    axes.set_title("the images nearest to the centroid, each beside where the network looks (attention rollout)")
    _describe_rows(axes, images, [describe(predictions, cluster) for cluster in clusters])
    figure.suptitle(subject(predictions))
    return figure


def overlaid(images: UInt8[Tensor, "n c h w"], maps: Float[Tensor, "n rows columns"]) -> UInt8[Tensor, "n 3 h w"]:
    """The grey pictures under their maps, from nothing to the largest share of each."""
    shares = enlarged(maps, images.shape[2], images.shape[3])
    scaled = shares / shares.amax(dim=(1, 2), keepdim=True)
    colours = torch.from_numpy(matplotlib.colormaps[COLOURS](scaled.numpy())[..., :3]).permute(0, 3, 1, 2)
    grey = to_rgb(images).float().mean(dim=1, keepdim=True)
    return (OPACITY * 255 * colours + (1 - OPACITY) * grey).round().to(torch.uint8)


def enlarged(maps: Float[Tensor, "n rows columns"], height: int, width: int) -> Float[Tensor, "n h w"]:
    """Every pixel with its patch's share; what patches have beyond the image is cut off."""
    side = max(math.ceil(height / maps.shape[1]), math.ceil(width / maps.shape[2]))
    return functional.interpolate(maps.unsqueeze(1), scale_factor=side).squeeze(1)[:, :height, :width]


def _describe_rows(axes: Axes, images: Tensor, texts: list[str]) -> None:
    step = images.shape[2] + gap(images)
    axes.set_xticks([])
    axes.set_yticks([gap(images) + row * step + images.shape[2] / 2 for row in range(len(texts))], texts)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
