"""Scores that are means over points: of all of them, or of a sample where there are many.

What a point's score compares it with is always all points. So the mean over the sample has no bias, only an error, and
its standard error comes from the sample itself (Cochran, "Sampling Techniques", 1977, chapter 2).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float64, Int64
from torch import Tensor

EXACT = 100_000
"""Up to so many points every one is scored."""
SAMPLE = 20_000
"""Of more than that, so many are, the same ones for every method."""
SEED = 0


class Estimate(NamedTuple):
    """A mean from a sample.

    Attributes:
        value: the sample's mean.
        error: its standard error.
    """

    value: float
    error: float


def sampled(n: int) -> Int64[Tensor, " s"] | None:
    """The points to score, ascending; None where all are."""
    if n <= EXACT:
        return None
    return torch.randperm(n, generator=torch.Generator().manual_seed(SEED))[:SAMPLE].sort().values


def estimate(scores: Float64[Tensor, " s"], n: int) -> Estimate:
    """The mean of n points' scores, of which these are a sample without replacement."""
    return Estimate(float(scores.mean()), float((scores.var() * (1 / len(scores) - 1 / n)).sqrt()))
