"""Which clusters belong together: the merge tree with typical images at its leaves."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from scipy.cluster.hierarchy import dendrogram as arrange

from evaluation.merge_tree import MergeTree, merge_tree
from evaluation.predictions import Predictions
from report.figures.samples import TYPICAL, describe
from report.figures.style import gap, new_picture_figure, rows_of, subject
from report.look_alikes import distinct
from report.selection import centroid_distances, lowest


def dendrogram(predictions: Predictions) -> Figure | None:
    """The tree from left to right, root first; at every leaf the images nearest to the cluster's centroid.

    It is the method's own tree of its clusters, and the merge tree where a method has none.

    Beside a leaf: the cluster's number and size and, with labels, its commonest class and that class's share. Empty
    clusters are left out. None where fewer than two clusters hold images.
    """
    tree = merge_tree(predictions)
    if len(tree.leaves) < 2:
        return None
    arranged = arrange(tree.linkage, no_plot=True)
    clusters = tree.leaves[arranged["leaves"]].tolist()
    images, labels = predictions.images.images, predictions.assignments.labels
    distance = centroid_distances(predictions)
    near = [lowest(distance, labels, j, 20 * TYPICAL) for j in clusters]
    strips = rows_of(images, [distinct(images, own, TYPICAL) for own in near], TYPICAL)
    step, high, wide = images.shape[2] + gap(images), strips.shape[0], strips.shape[1]
    figure = new_picture_figure(height=len(clusters) * 2.8 * step / wide + 0.8)
    # Both panels get the same shape, so that branches end at their strips.
    left, right = figure.subplots(1, 2)
    right.imshow(strips)
    middle = gap(images) + images.shape[2] / 2
    texts = [describe(predictions, j) for j in clusters]
    _describe(right, texts, [middle + step * row for row in range(len(texts))])
    # scipy puts leaf number i at 10 i + 5.
    places = [[middle + step * (y - 5) / 10 for y in branch] for branch in arranged["icoord"]]
    _draw(left, tree, places, arranged["dcoord"])
    left.set_ylim(high - 0.5, -0.5)
    left.set_box_aspect(high / wide)
    left.set_title("merge tree (Ward)" if predictions.tree is None else "the method's own tree")
    right.set_title("typical (nearest to the centroid)")
    figure.suptitle(subject(predictions))
    return figure


def _draw(axes: Axes, tree: MergeTree, places: list[list[float]], heights: list[list[float]]) -> None:
    branches = [list(zip(*branch, strict=True)) for branch in zip(heights, places, strict=True)]
    axes.add_collection(LineCollection(branches, colors="#3c3c5a", linewidths=1.2, capstyle="projecting"))
    axes.set_xlim(1.03 * tree.heights[-1] or 1, 0)
    axes.set_yticks([])
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.set_xlabel("height: √(2 × increase of the sum of squares)")
    axes.spines[["left", "top", "right"]].set_visible(False)


def _describe(axes: Axes, texts: list[str], places: list[float]) -> None:
    axes.set_yticks(places, texts)
    axes.set_xticks([])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
