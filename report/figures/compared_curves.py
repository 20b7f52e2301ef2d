"""How the losses of several systems fell, beside each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from report.figures.style import PALETTE, new_panels, plain

A_LINE = 4
"""Panels side by side."""

History = Sequence[Mapping[str, Any]]


def compared_curves(histories: Mapping[str, Sequence[History]]) -> Figure | None:
    """A panel a system: the loss of its last trained phase by epoch, one line a seed.

    Losses of different systems are of different scales and units: every panel has its own axis.

    Args:
        histories: by the system's title, the `loop.history` of its runs.

    Returns:
        None where no system was trained by gradient steps.
    """
    curves = {title: [found for run in runs if (found := _last_phase(run))] for title, runs in histories.items()}
    curves = {title: found for title, found in curves.items() if found}
    if not curves:
        return None
    figure, panels = new_panels(len(curves), A_LINE, height=1.9, least=2.0)
    for axes, (title, runs) in zip(panels, curves.items(), strict=True):
        _draw(axes, runs)
        axes.set_title(plain(title, 30), fontsize=8)
    return figure


def _last_phase(history: History) -> list[tuple[int, float]]:
    """Epoch, from 1, and loss of the last phase that was trained; empty where none was."""
    epochs = [row for row in history if "epoch" in row and "loss" in row]
    return [(row["epoch"] + 1, row["loss"]) for row in epochs if row["phase"] == epochs[-1]["phase"]]


def _draw(axes: Axes, runs: Sequence[Sequence[tuple[int, float]]]) -> None:
    for run in runs:
        epochs, losses = zip(*run, strict=True)
        axes.plot(epochs, losses, color=PALETTE[0], lw=1.0, alpha=0.8, marker="o", ms=2.0 if len(run) < 30 else 0)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=4))
    axes.yaxis.set_major_locator(MaxNLocator(nbins=4))
    axes.tick_params(labelsize=7)
    axes.set_xlabel("epoch", fontsize=7)
    axes.spines[["top", "right"]].set_visible(False)
