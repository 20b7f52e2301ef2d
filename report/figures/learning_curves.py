"""How the losses fell over the epochs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from report.figures.style import PALETTE, new_panels, plain

A_LINE = 3
"""Panels side by side."""

CURVES = {"loss": ("training", PALETTE[0]), "validation_loss": ("validation", PALETTE[3])}
"""Key of a history row -> its name in the legend, and its colour."""

DECADE = 10.0
"""A loss that spans a larger factor is shown on a logarithmic scale."""


def learning_curves(history: Sequence[Mapping[str, Any]]) -> Figure | None:
    """A panel a gradient phase: the mean loss of every epoch and, where it was taken, the validation loss.

    Args:
        history: a checkpoint's `loop.history`. The rows of epochs have "phase", "epoch" (from 0), "loss" and, where
            images were held out, "validation_loss"; other rows are left aside.

    Returns:
        None where no phase was trained by gradient steps.
    """
    phases: dict[str, list[Mapping[str, Any]]] = {}
    for row in history:
        if "epoch" in row:
            phases.setdefault(row["phase"], []).append(row)
    if not phases:
        return None
    figure, panels = new_panels(len(phases), A_LINE, height=2.4, least=1.5)
    for axes, (name, rows) in zip(panels, phases.items(), strict=True):
        _draw(axes, rows)
        axes.set_title(plain(name))
    return figure


def _draw(axes: Axes, rows: Sequence[Mapping[str, Any]]) -> None:
    shown: list[float] = []
    for key, (name, shade) in CURVES.items():
        epochs = [row["epoch"] + 1 for row in rows if key in row]
        losses = [row[key] for row in rows if key in row]
        if not losses:
            continue
        # A dot shows an epoch that stands alone.
        axes.plot(epochs, losses, color=shade, lw=1.2, marker="o", ms=2.5 if len(epochs) < 30 else 0, label=name)
        shown += losses
    if min(shown) > 0 and max(shown) > DECADE * min(shown):
        axes.set_yscale("log")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("epoch")
    axes.set_ylabel("loss")
    axes.spines[["top", "right"]].set_visible(False)
    if len(axes.lines) > 1:
        axes.legend(frameon=False)
