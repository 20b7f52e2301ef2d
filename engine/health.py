"""Clusters that die: said while a run trains, not found out afterwards."""

from __future__ import annotations

from jaxtyping import Int64
from torch import Tensor

from methods.base import GradientPhase

COLLAPSED_SHARE = 0.5
"""A cluster with more of the images than this is reported."""


def cluster_warning(sizes: Int64[Tensor, " k"]) -> str | None:
    """A sentence on empty clusters, or on one that takes over; None when all is well.

    Args:
        sizes: number of images in each of the k clusters.
    """
    empty = [str(cluster) for cluster in (sizes == 0).nonzero().flatten().tolist()]
    largest = int(sizes.argmax())
    share = float(sizes[largest]) / max(int(sizes.sum()), 1)
    parts = []
    if empty:
        noun = "cluster" if len(empty) == 1 else "clusters"
        parts.append(f"{noun} {', '.join(empty)} of {len(sizes)} without images")
    if share > COLLAPSED_SHARE:
        parts.append(f"cluster {largest} holds {share:.0%} of the images")
    return "collapsing: " + "; ".join(parts) if parts else None


def stability_advice(phase: GradientPhase) -> str:
    """What to do about losses or weights that are no longer finite."""
    rate = phase.optimiser.learning_rate
    return (
        f"A smaller learning_rate of its optimiser (now {rate:g}; the whole name of the setting is in config.yaml) or "
        "precision 32-true usually mends it."
    )
