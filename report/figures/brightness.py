"""How bright the images of every class or cluster are."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from data.image_set import ImageSet
from report import exploration
from report.exploration import Groups
from report.figures.panels import drawn, grid_shape, of_every, title_of
from report.figures.style import PALETTE, WIDTH, plain

BINS = 24
COLUMNS = 5


def brightness(images: ImageSet, groups: Groups) -> Figure:
    """A histogram of the images' mean pixels for every group, before that of all images in grey.

    Every histogram has area 1, so that groups of all sizes compare; panels differ in the scale of their heights.
    """
    values = exploration.brightness(images.images).numpy()
    edges = np.histogram_bin_edges(values, BINS)
    everything, _ = np.histogram(values, edges, density=True)
    alone = len(groups) == 1
    lines, columns = grid_shape(len(drawn(groups)), COLUMNS)
    figure, panels = _panels(len(drawn(groups)), lines, columns)
    for group, axes in zip(drawn(groups), panels, strict=True):
        own = values[(groups.labels == group).numpy()]
        if not alone:
            axes.stairs(everything, edges, fill=True, color="#d9d9d9")
            axes.set_title(plain(groups.names[group]), fontsize=7.5, pad=2.5)
        if len(own):
            density, _ = np.histogram(own, edges, density=True)
            axes.stairs(density, edges, color=PALETTE[0], lw=1.1, fill=alone)
        axes.spines[["top", "right"]].set_visible(False)
        axes.set_xlim(edges[0], edges[-1])
        axes.xaxis.set_major_locator(MaxNLocator(8 if alone else 4, steps=[1, 2, 5, 10]))
        axes.tick_params(labelbottom=group + columns >= len(panels))  # only where no panel is below
        axes.set_ylim(bottom=0)
        axes.set_yticks([])
    behind = "" if alone else ", before all images (grey)"
    height = figure.get_figheight()
    figure.text(0.5, 0, "density over brightness, the mean pixel of an image, 0 to 1", ha="center", fontsize=8)
    figure.text(0.5, 1 - 0.15 / height, f"{title_of(images)}: brightness {of_every(groups)}{behind}",
                ha="center", va="center", fontsize=9)  # fmt: skip
    return figure


def _panels(count: int, lines: int, columns: int) -> tuple[Figure, list[Axes]]:
    """A figure of `count` panels; those that are left over in the last line stay empty."""
    # Places in inches: layout by matplotlib takes many seconds for as many panels.
    width, height = (WIDTH if columns > 2 else 4.5), (1.9 if lines == 1 else 0.95 * lines) + 0.75
    figure = Figure(figsize=(width, height))
    places = {"left": 0.01, "right": 0.99, "bottom": 0.42 / height, "top": 1 - 0.48 / height}
    grid = figure.subplots(lines, columns, squeeze=False, gridspec_kw={**places, "hspace": 0.35, "wspace": 0.08})
    for empty in grid.flat[count:]:
        empty.set_axis_off()
    return figure, list(grid.flat[:count])
