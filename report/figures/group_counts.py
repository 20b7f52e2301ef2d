"""How many images every class or cluster has."""

from __future__ import annotations

from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import MaxNLocator, StrMethodFormatter

from data.image_set import ImageSet
from report.exploration import Groups
from report.figures.panels import drawn, of_every, title_of
from report.figures.style import PALETTE, new_figure, plain


def group_counts(images: ImageSet, groups: Groups) -> Figure | None:
    """A bar a group, in the groups' order, with its count. None for images without groups."""
    if groups.kind == "set":
        return None
    counts = groups.sizes.tolist()
    shown = [counts[group] for group in drawn(groups)]
    figure = new_figure(height=0.19 * len(shown) + 0.75, width=5.0)
    axes = figure.subplots()
    outline = [withStroke(linewidth=3, foreground="white")]  # where the dashed line passes
    bars = axes.barh(range(len(shown)), shown, color=PALETTE[0], height=0.75)
    axes.bar_label(bars, [f"{count:,}" for count in shown], fontsize=7, padding=3, path_effects=outline)
    axes.set_yticks(range(len(shown)), [plain(groups.names[group]) for group in drawn(groups)])
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(len(shown) - 0.4, -0.6)  # the first one on top
    axes.margins(x=0.12)
    axes.axvline(len(images) / len(groups), color="black", lw=0.8, ls="--", zorder=0.5)
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axes.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10], integer=True))
    axes.set_xlabel("images (dashed: the mean)")
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_title(f"{title_of(images)}: images {of_every(groups)}")
    return figure
