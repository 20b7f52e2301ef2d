"""Every class or cluster by example: images drawn at random."""

from __future__ import annotations

import torch
from matplotlib.figure import Figure

from data.image_set import ImageSet
from report.exploration import Groups, draws
from report.figures.panels import drawn, named_pictures, of_every, title_of
from report.figures.style import gap, new_picture_figure, plain, rows_of
from report.tiles import to_rgb

COLUMNS = 12
"""Images a group."""

LINES = 6
"""Of so many images where all are one group."""


def group_samples(images: ImageSet, groups: Groups) -> Figure:
    """A row a group with its name and size; without groups, a few rows of all images."""
    pixels = images.images
    height, width = pixels.shape[2:]
    if groups.kind == "set":
        rows = list(torch.split(draws(groups, COLUMNS * LINES)[0], COLUMNS))
    else:
        rows = draws(groups, COLUMNS)[: len(drawn(groups))]
    figure = new_picture_figure(height=0.46 * len(rows) * height / width + 0.45)
    axes = figure.subplots()
    axes.imshow(rows_of(pixels, rows, COLUMNS))
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)
    if groups.kind != "set":
        sizes = groups.sizes.tolist()
        texts = [f"{plain(groups.names[group])} ({sizes[group]:,})" for group in drawn(groups)]
        step = height + gap(pixels)
        axes.set_yticks([gap(pixels) + row * step + height / 2 for row in range(len(rows))], texts)
        axes.tick_params(length=0)
    figure.suptitle(f"{title_of(images)}: samples {of_every(groups)}")
    return figure


def one_per_group(images: ImageSet, groups: Groups) -> Figure | None:
    """One image of every group that has any, under the group's name. None for images without groups."""
    if groups.kind == "set":
        return None
    chosen = draws(groups, 1)[: len(drawn(groups))]
    pixels = to_rgb(images.images).permute(0, 2, 3, 1)
    pictures = [pixels[int(position)].numpy() if len(position) else None for position in chosen]
    title = f"{title_of(images)}: one image {of_every(groups)}"
    return named_pictures(title, groups.names[: len(pictures)], pictures)
