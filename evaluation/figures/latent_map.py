"""A map of the latent space in two dimensions, coloured by cluster and by class."""

from __future__ import annotations

import warnings

import numpy as np
import torch
from jaxtyping import Float, Int64
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke
from sklearn.metrics.pairwise import euclidean_distances
from torch import Tensor

from evaluation.contingency import UNMATCHED, contingency, match
from evaluation.figures.style import PALETTE, WIDTH, colour, new_figure, plain, subject
from evaluation.predictions import Predictions
from evaluation.selection import members, seeded_draw

POINTS = 4000
"""Below 4,096 points UMAP searches neighbours exactly, and the points of a map stay distinguishable."""

FEWEST = 5
"""UMAP's spectral initialisation fails below."""


def latent_map(predictions: Predictions) -> Figure | None:
    """A seeded draw of at most 4,000 images, by cluster and, with labels, in the same places by class.

    The map is UMAP's (McInnes, Healy and Melville, 2018) with its default settings and seed 0; a latent space
    of two dimensions is shown as it is. The draw looks at no label. A class and the cluster matched to it
    share a colour. None for fewer than five images.
    """
    chosen = seeded_draw(len(predictions.images), POINTS)
    if len(chosen) < FEWEST:
        return None
    embedding, classes = predictions.embedding[chosen], predictions.images.labels
    is_map = embedding.shape[1] == 2
    places = embedding.numpy() if is_map else umap(embedding)
    panels = 1 if classes is None else 2
    figure = new_figure(height=0.5 * WIDTH + 0.5, width=WIDTH if classes is not None else 0.55 * WIDTH)
    axes = figure.subplots(1, panels, squeeze=False)[0]
    clusters = predictions.assignments.labels[chosen]
    _scatter(axes[0], places, clusters, cluster_colours(predictions))
    _write_numbers(axes[0], places, clusters)
    axes[0].set_title("by cluster")
    if classes is not None:
        names = predictions.images.class_names
        _scatter(axes[1], places, classes[chosen], [colour(j) for j in range(len(names))])
        axes[1].set_title("by class")
        _add_legend(figure, names)
    drawn = "" if len(chosen) == len(predictions.images) else f", {len(chosen):,} drawn"
    kind = "" if is_map else ", UMAP"
    figure.suptitle(f"{subject(predictions)}{drawn}\n{plain(predictions.space, 40)}{kind}")
    return figure


def umap(embedding: Float[Tensor, "n d"]) -> Float[np.ndarray, "n 2"]:
    """The embedding in two dimensions, seeded; the global random state is left alone."""
    with warnings.catch_warnings():
        # umap warns about a missing TensorFlow, about graphs in pieces, which clusters are, and so on.
        warnings.simplefilter("ignore")
        from umap import UMAP  # imported here since it takes seconds, which other figures need not pay

        # umap would compute these distances in a Python loop over all pairs, most of its time.
        neighbours = min(15, len(embedding) - 1)
        reducer = UMAP(neighbours, metric="precomputed", n_jobs=1, random_state=0)
        return np.asarray(reducer.fit_transform(euclidean_distances(embedding.numpy())))


def cluster_colours(predictions: Predictions) -> list[str]:
    """A colour a cluster: with labels that of its matched class, and one of its own where it has none."""
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


def _write_numbers(axes: Axes, places: np.ndarray, clusters: Int64[Tensor, " n"]) -> None:
    for cluster in torch.unique(clusters).tolist():
        x, y = np.median(places[members(clusters, cluster).numpy()], axis=0)
        axes.text(x, y, str(cluster), ha="center", va="center", fontsize=9, fontweight="bold",
                  path_effects=[withStroke(linewidth=2.5, foreground="white")])  # fmt: skip


def _add_legend(figure: Figure, names: tuple[str, ...]) -> None:
    if len(names) > len(PALETTE):
        return  # colours repeat, and the names would cover the page
    marks = [
        Line2D([], [], ls="", marker="o", ms=4, color=colour(j), label=plain(name)) for j, name in enumerate(names)
    ]
    figure.legend(handles=marks, loc="outside lower center", ncols=min(5, len(marks)), frameon=False)
