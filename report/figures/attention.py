"""What the network looks at: typical images of every cluster, each beside its map of attention."""

from __future__ import annotations

import math

import matplotlib
import torch
from jaxtyping import Float, UInt8
from matplotlib.figure import Figure
from torch import Tensor
from torch.nn import functional

from evaluation.predictions import Predictions
from report.figures.samples import describe, describe_rows, draw_rows, typical
from report.figures.style import new_picture_figure, subject
from report.selection import centroid_distances
from report.tiles import to_rgb

PAIRS = 6
"""Images a cluster, each beside its map."""
COLOURS = "inferno"
OPACITY = 0.65
"""Of the map on the picture."""


def attention(predictions: Predictions) -> Figure | None:
    """One row a cluster: its most typical images, each beside itself under its map. Needs attention.

    The maps are those of `models.attention`: attention rollout over all layers.
    """
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
    draw_rows(axes, pictures, places, 2 * PAIRS)
    describe_rows(axes, pictures, [describe(predictions, cluster) for cluster in clusters])
    axes.set_title("nearest to the centroid, each beside what the network looks at: bright patches count most")
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
