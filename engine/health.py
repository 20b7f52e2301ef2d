"""Clusters that die: said while a run trains, not found out afterwards."""

from __future__ import annotations

import math
from typing import NamedTuple

from jaxtyping import Int64
from torch import Tensor

from parts.phases import GradientPhase


class ClusterWarning(NamedTuple):
    """What is wrong with the sizes of clusters.

    Attributes:
        state: which clusters are empty and which takes over, without shares: two refreshes with the same state are one
            piece of news.
        text: a sentence for the user.
    """

    state: str
    text: str


def unusual_share(k: int) -> float:
    """The share of the images above which one of k clusters takes over: 1/√k.

    It lies between an even share, 1/k, and all images: as many times above the one as below the other. It is 71 % for
    2 clusters, 32 % for 10 and 10 % for 100.

    Args:
        k: number of clusters, at least 1.
    """
    return 1 / math.sqrt(k)


def cluster_warning(sizes: Int64[Tensor, " k"]) -> ClusterWarning | None:
    """What to say of empty clusters, or of one with more than `unusual_share` of the images; None when all is well.

    Args:
        sizes: number of images in each of the k clusters.
    """
    k = len(sizes)
    states, texts = [], []
    if empty := [str(cluster) for cluster in (sizes == 0).nonzero().flatten().tolist()]:
        states.append(f"empty {', '.join(empty)}")
        texts.append(f"{'cluster' if len(empty) == 1 else 'clusters'} {', '.join(empty)} of {k} without images")
    largest = int(sizes.argmax())
    share = float(sizes[largest]) / max(int(sizes.sum()), 1)
    if share > unusual_share(k):
        states.append(f"large {largest}")
        texts.append(
            f"cluster {largest} holds {share:.1%} of the images (even shares of {k} clusters are {1 / k:.1%}, "
            f"more than {unusual_share(k):.1%} is unusual)"
        )
    return ClusterWarning("; ".join(states), "collapsing: " + "; ".join(texts)) if texts else None


def stability_advice(phase: GradientPhase) -> str:
    """What to do about losses or weights that are no longer finite."""
    rate = phase.optimiser.learning_rate
    return (
        f"A smaller learning_rate of its optimiser (now {rate:g}; the whole name of the setting is in config.yaml) or "
        "precision 32-true usually mends it."
    )
