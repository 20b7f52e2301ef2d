"""Images unlike all others: far from their nearest neighbours.

Source: Ramaswamy, Rastogi, Shim, "Efficient Algorithms for Mining Outliers from Large Data Sets", SIGMOD 2000, with the
mean over the nearest in place of the distance to the last of them.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from estimators.neighbours import neighbour_graph

NEAREST = 5
FAR = 8.0
"""Median absolute deviations beyond the median, from which an image is an outlier."""
LEAST = 2.0
"""And at least so many times as far as the median, where distances hardly differ."""
MOST = 200


def isolation(points: Float[Tensor, "n d"]) -> Float[Tensor, " n"]:
    """The mean distance of every point to its nearest others; 0 for a point alone."""
    if len(points) < 2:
        return torch.zeros(len(points))
    return neighbour_graph(points, min(NEAREST + 1, len(points))).distances[:, 1:].mean(dim=1)


def outliers(points: Float[Tensor, "n d"]) -> Int64[Tensor, " m"]:
    """The positions of points far from all others, the farthest first; at most `MOST`.

    Distances have long tails upwards: they are compared by their logarithms.
    """
    score = isolation(points).clamp(min=torch.finfo(torch.float32).tiny).log()
    middle = score.median()
    usual = (score - middle).abs().median()
    far = (score - middle > (FAR * usual).clamp(min=math.log(LEAST))).nonzero()[:, 0]
    return far[score[far].argsort(descending=True, stable=True)][:MOST]
