"""The average image of every class or cluster."""

from __future__ import annotations

import torch
from matplotlib.figure import Figure

from data.image_set import ImageSet
from report import exploration
from report.exploration import Groups
from report.figures.panels import drawn, named_pictures, of_every, title_of
from report.tiles import to_rgb


def mean_images(images: ImageSet, groups: Groups) -> Figure:
    """A picture a group under its name, from black (0) to white (1); an empty group has none."""
    means = exploration.mean_images(images.images, groups)[: len(drawn(groups))]
    pixels = to_rgb((255 * means.nan_to_num()).round().to(torch.uint8)).permute(0, 2, 3, 1).numpy()
    pictures = [None if means[group].isnan().any() else pixels[group] for group in drawn(groups)]
    title = f"{title_of(images)}: average image {of_every(groups)}"
    return named_pictures(title, groups.names[: len(pictures)], pictures)
