"""How evenly the images are spread over the clusters."""

from __future__ import annotations

from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from evaluation.predictions import Predictions, sizes
from report.figures.style import PALETTE, new_figure, subject

LARGEST_WITH_NUMBERS = 24
"""Beyond so many clusters the counts above the bars would run into one another."""


def cluster_sizes(predictions: Predictions) -> Figure:
    """A bar a cluster, the largest first, and the size that equal clusters would have."""
    counts = sizes(predictions.assignments.labels, predictions.clusters)
    order = counts.argsort(descending=True, stable=True).tolist()
    heights = counts[order].tolist()
    figure = new_figure(height=2.6)
    axes = figure.subplots()
    bars = axes.bar(range(len(order)), heights, color=PALETTE[0])
    axes.axhline(sum(heights) / len(heights), color="black", lw=0.8, ls="--", label="equal sizes", zorder=0.5)
    if len(order) <= LARGEST_WITH_NUMBERS:
        outline = [withStroke(linewidth=3, foreground="white")]  # where the dashed line passes
        texts = [f"{height:,}" for height in heights]
        axes.bar_label(bars, texts, fontsize=7, padding=2, path_effects=outline)
    axes.set_xticks(range(len(order)), ["noise" if cluster == predictions.noise else str(cluster) for cluster in order])
    axes.set_xlim(-0.6, len(order) - 0.4)
    axes.margins(y=0.12)
    axes.set_xlabel("cluster")
    axes.set_ylabel("images")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    proper = [count for cluster, count in enumerate(counts.tolist()) if cluster != predictions.noise]
    axes.set_title(f"{subject(predictions)}: {sum(count > 0 for count in proper)} of {len(proper)} clusters used")
    return figure
