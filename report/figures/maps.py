"""Maps of a space in two dimensions, coloured by cluster and by class."""

from __future__ import annotations

import matplotlib
import numpy as np
import torch
from jaxtyping import Float, Int64
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke
from torch import Tensor

from evaluation.contingency import UNMATCHED, contingency, match
from evaluation.predictions import Predictions, members
from report.figures.style import PALETTE, WIDTH, colour, new_figure, plain, subject

GREY = "#9a9a9a"
FEWEST = 5
"""Images of which a map can be made."""


def draw_map(
    predictions: Predictions, chosen: Int64[Tensor, " m"], places: Float[np.ndarray, "m 2"], kind: str
) -> Figure:
    """The images `chosen` at their `places`, by cluster and, with labels, in the same places by class.

    A class and the cluster matched to it share a colour.

    Args:
        predictions: for all images.
        chosen: (m,), the positions of the images that are drawn.
        places: (m, 2), where each is drawn.
        kind: what made the places, for the title: "UMAP"; empty where they are the space itself.
    """
    classes = predictions.images.labels
    panels = 1 if classes is None else 2
    figure = new_figure(height=0.5 * WIDTH + 0.5, width=WIDTH if classes is not None else 0.55 * WIDTH)
    axes = figure.subplots(1, panels, squeeze=False)[0]
    clusters = predictions.assignments.labels[chosen]
    _scatter(axes[0], places, clusters, cluster_colours(predictions))
    _write_numbers(axes[0], places, clusters, predictions.noise)
    axes[0].set_title("by cluster")
    if classes is not None:
        names = predictions.images.class_names
        _scatter(axes[1], places, classes[chosen], [colour(j) for j in range(len(names))])
        axes[1].set_title("by class")
        _add_legend(figure, names)
    drawn = "" if len(chosen) == len(predictions.images) else f", {len(chosen):,} drawn"
    figure.suptitle(f"{subject(predictions)}{drawn}\n{plain(predictions.space, 40)}{f', {kind}' if kind else ''}")
    return figure


def cluster_colours(predictions: Predictions) -> list[str]:
    """A colour a cluster: with labels its matched class's, and one of its own where it has none. Noise is grey."""
    colours = _colours(predictions)
    return [GREY if cluster == predictions.noise else shade for cluster, shade in enumerate(colours)]


def _colours(predictions: Predictions) -> list[str]:
    if predictions.images.labels is None:
        return [colour(cluster) for cluster in range(predictions.clusters)]
    classes = len(predictions.images.class_names)
    table = contingency(predictions.images.labels, predictions.assignments.labels, classes, predictions.clusters)
    matching = match(table)
    numbers, further = [], classes
    for matched in matching.tolist():
        numbers.append(further if matched == UNMATCHED else matched)
        further += matched == UNMATCHED
    return [colour(number) for number in numbers]


def _scatter(axes: Axes, places: np.ndarray, groups: Tensor, colours: list[str]) -> None:
    # In one call, so that no group is painted over all others.
    shades = [colours[group] for group in groups.tolist()]
    size = float(np.clip(12000 / len(places), 3, 25))
    axes.scatter(places[:, 0], places[:, 1], s=size, c=shades, alpha=0.7, linewidths=0)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_box_aspect(1)


def _write_numbers(axes: Axes, places: np.ndarray, clusters: Int64[Tensor, " n"], noise: int | None) -> None:
    family = matplotlib.rcParams["font.family"][0]  # the others may have no bold face, and digits need none
    for cluster in torch.unique(clusters).tolist():
        x, y = np.median(places[members(clusters, cluster).numpy()], axis=0)
        if cluster != noise:
            axes.text(x, y, str(cluster), ha="center", va="center", fontsize=9, fontweight="bold", fontfamily=family,
                  path_effects=[withStroke(linewidth=2.5, foreground="white")])  # fmt: skip


def _add_legend(figure: Figure, names: tuple[str, ...]) -> None:
    if len(names) > len(PALETTE):
        return  # colours repeat, and the names would cover the page
    marks = [
        Line2D([], [], ls="", marker="o", ms=4, color=colour(j), label=plain(name)) for j, name in enumerate(names)
    ]
    figure.legend(handles=marks, loc="outside lower center", ncols=min(5, len(marks)), frameon=False)
