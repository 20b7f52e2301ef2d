"""Principal components: how much variance they explain, and what they look like."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float64
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter, StrMethodFormatter
from torch import Tensor

from data.image_set import ImageSet
from report.figures.panels import named_pictures, title_of
from report.figures.style import PALETTE, new_figure

MARKS = ((0.8, "o", PALETTE[0]), (0.9, "s", PALETTE[1]), (0.95, "^", PALETTE[2]))
"""Shares of the variance whose numbers of components are marked, and by what."""

FEW = 20
"""Components up to which a point each is drawn on a linear axis."""


def explained_variance(images: ImageSet, spectrum: Spectrum | None) -> Figure | None:
    """The cumulative share of variance over the number of components. None where nothing varies."""
    if spectrum is None:
        return None
    cumulative = spectrum.ratios.cumsum(0).numpy()
    figure = new_figure(height=2.8, width=5.0)
    axes = figure.subplots()
    few = len(cumulative) <= FEW
    axes.plot(np.arange(1, len(cumulative) + 1), cumulative, color="black", marker="." if few else None, lw=1.2)
    for share, marker, shade in MARKS:
        count = spectrum.needed(share)
        axes.vlines(count, 0, cumulative[count - 1], color="grey", lw=0.7, ls="--", zorder=0.5)
        axes.plot(count, cumulative[count - 1], marker, color=shade, ms=5, label=f"{share:.0%}: {count:,}")
    if few:
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    else:
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
        axes.set_xlim(0.9, 1.1 * len(cumulative))
    axes.set_ylim(0, 1.03)
    axes.yaxis.set_major_formatter(PercentFormatter(xmax=1))
    axes.set_xlabel("principal components" if few else "principal components (logarithmic)")
    axes.set_ylabel("variance explained, cumulative")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(title="variance: components", title_fontsize=7, frameon=False)
    axes.set_title(f"{title_of(images)}{_drawn(images, spectrum)}: variance by principal components")
    return figure


def principal_components(images: ImageSet, spectrum: Spectrum | None) -> Figure | None:
    """The first components as pictures, each with the share that it explains. None where nothing varies.

    Grey images: blue is negative, white 0, red positive. Colour images: grey is 0. Every component is scaled to its own
    largest absolute value; its sign means nothing.
    """
    if spectrum is None:
        return None
    shown = len(spectrum.components)
    names = [f"{number}: {100 * ratio:.1f} %" for number, ratio in enumerate(spectrum.ratios[:shown].tolist(), start=1)]
    explained = 100 * float(spectrum.ratios[:shown].sum())
    title = (
        f"{title_of(images)}{_drawn(images, spectrum)}: "
        f"the first {shown} principal components explain {explained:.1f} % of the variance"
    )
    pictures = [signed_picture(component) for component in spectrum.components.numpy()]
    return named_pictures(title, names, pictures, cmap="RdBu_r", vmin=-1, vmax=1)


def signed_picture(component: Float[np.ndarray, "c h w"]) -> Float[np.ndarray, "h w ..."]:
    """−1 to 1, (h, w), for a colour map; with three channels and more 0 to 1 around grey, (h, w, 3)."""
    scaled = component / np.abs(component).max()
    if len(component) < 3:
        return np.asarray(scaled[0])
    return np.asarray((scaled[:3].transpose(1, 2, 0) + 1) / 2)


def _drawn(images: ImageSet, spectrum: Spectrum) -> str:
    return "" if spectrum.images == len(images) else f", {spectrum.images:,} drawn"


@dataclass(frozen=True)
class Spectrum:
    """Principal components of images of d pixels, by falling variance.

    Attributes:
        ratios: (r,), the share of the total variance that every component explains.
        components: (p, c, h, w), the first of them as images.
        images: how many images were decomposed.
    """

    ratios: Float64[Tensor, " r"]
    components: Float[Tensor, "p c h w"]
    images: int

    def needed(self, share: float) -> int:
        """The least number of components that explain at least `share` of the variance."""
        # Against sums that miss 1 by rounding alone.
        reached = self.ratios.cumsum(0) >= share - 1e-9
        return int(reached.nonzero()[0]) + 1
