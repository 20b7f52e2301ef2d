"""How often every pixel value occurs."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int64
from matplotlib.figure import Figure
from torch import Tensor

from data.image_set import ImageSet
from report.exploration import LEVELS, channel_names
from report.figures.panels import title_of
from report.figures.style import PALETTE, colour, new_figure

UNEVEN = 20
"""A value that is so many times more frequent than the mean of all calls for a logarithmic axis."""

COLOURS = {"grey": PALETTE[0], "red": "#d62728", "green": "#2ca02c", "blue": "#1f77b4", "alpha": "black"}
"""By a channel's name; others have the palette's by their number."""


def pixel_histogram(images: ImageSet, counts: Int64[Tensor, "g c 256"]) -> Figure:
    """The share of every pixel value among all pixels, by channel; logarithmic where one value dominates.

    Args:
        images: the set.
        counts: its pixels by value, from `exploration.pixel_counts`.
    """
    by_channel = counts.sum(dim=0)
    shares = (by_channel / by_channel.sum(dim=1, keepdim=True)).numpy()
    figure = new_figure(height=2.4, width=5.0)
    axes = figure.subplots()
    edges = np.arange(LEVELS + 1) - 0.5
    for number, (share, name) in enumerate(zip(shares, channel_names(len(shares)), strict=True)):
        axes.stairs(share, edges, color=COLOURS.get(name, colour(number)), fill=len(shares) == 1, lw=0.9, label=name)
    if shares.max() > UNEVEN / LEVELS:
        axes.set_yscale("log")
        axes.set_ylim(bottom=0.5 * shares[shares > 0].min(), top=1)
    axes.set_xlim(edges[0], edges[-1])
    axes.set_xticks([0, 64, 128, 192, 255])
    axes.set_xlabel("pixel value")
    axes.set_ylabel("share of pixels")
    axes.spines[["top", "right"]].set_visible(False)
    if len(shares) > 1:
        axes.legend(frameon=False)
    total = by_channel.sum()
    black, white = (100 * float(by_channel[:, value].sum() / total) for value in (0, LEVELS - 1))
    axes.set_title(f"{title_of(images)}\npixels: {black:.1f} % are 0 (black), {white:.1f} % are 255 (white)")
    return figure
