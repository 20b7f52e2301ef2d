"""The dip of a sample: how far it is from having one mode, and how rarely a sample with one mode is that far from it.

Sources: Hartigan, Hartigan, "The Dip Test of Unimodality", Annals of Statistics 13, 1985; convex minorants by pooling
adjacent violators: Barlow, Bartholomew, Bremner, Brunk, "Statistical Inference under Order Restrictions", 1972.
"""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float, Float64, Int
from scipy.optimize import isotonic_regression

from estimators.dip_table import PROBABILITIES, QUANTILES

SIZES = tuple(QUANTILES)
ROWS = np.array([QUANTILES[n] for n in SIZES])


def dip(sample: Float[np.ndarray, " n"]) -> float:
    """The least distance sup|F - G| from the sample's distribution function F to any G with one mode.

    It is at most 1/4, and 1/4 for two equal point masses. It is at least 1/(2n), which evenly spaced values have. One
    value, however often, counts as 1/(2n) too.

    From outside to inside: left of the mode G is a convex minorant of F, right of it a concave majorant. Where the two
    are the farthest apart, an interval is cut out that has to hold the mode, and the same is asked within it. The
    answer is half the largest gap between F and what lies outside of these intervals. Time grows as n after sorting.

    Args:
        sample: finite values in any order, at least one.
    """
    x, counts = np.unique(np.asarray(sample, dtype=np.float64), return_counts=True)
    above = np.cumsum(counts) / len(sample)
    below = above - counts / len(sample)
    low, high = 0, len(x) - 1
    gap = 1 / len(sample)
    while low < high:
        convex, concave = _hull(x, below, low, high, convex=True), _hull(x, above, low, high, convex=False)
        # Two piecewise linear functions are the farthest apart at a corner of one of them.
        at_convex = np.interp(x[convex], x[concave], above[concave]) - below[convex]
        at_concave = above[concave] - np.interp(x[concave], x[convex], below[convex])
        if max(at_convex.max(), at_concave.max()) <= gap:
            break
        if at_convex.max() >= at_concave.max():
            left = convex[at_convex.argmax()]
            right = concave[np.searchsorted(concave, left)]
        else:
            right = concave[at_concave.argmax()]
            left = convex[np.searchsorted(convex, right, side="right") - 1]
        before, after = slice(low, left), slice(right + 1, high + 1)
        gaps = (
            above[before] - np.interp(x[before], x[convex], below[convex]),
            np.interp(x[after], x[concave], above[concave]) - below[after],
        )
        gap = max(gap, *(part.max() for part in gaps if part.size))
        low, high = int(left), int(right)
    return float(gap / 2)


def dip_p_value(value: float, n: int) -> float:
    """How often n uniform values have a dip of at least `value`; among all G with one mode, uniform is the hardest.

    Quantiles of √n · dip, simulated for some n (`estimators.dip_table`), are interpolated in log n and then between
    quantiles. Above the largest n the last row holds: √n · dip has a limit. The standard error is at most 0.004.

    Args:
        value: `dip` of a sample.
        n: its size, from 1 on. Up to three values always have one mode.
    """
    if n < SIZES[0] or value <= 1 / (2 * n):
        return 1.0
    place = np.interp(math.log(n), np.log(SIZES), np.arange(len(SIZES)))
    first = min(int(place), len(SIZES) - 2)
    share = place - first
    quantiles = (1 - share) * ROWS[first] + share * ROWS[first + 1]
    return float(1 - np.interp(math.sqrt(n) * value, quantiles, PROBABILITIES))


def _hull(
    x: Float64[np.ndarray, " m"], y: Float64[np.ndarray, " m"], low: int, high: int, *, convex: bool
) -> Int[np.ndarray, " corners"]:
    """The corners of the greatest convex minorant of the points low to high, or of the least concave majorant.

    The slopes of the minorant are the ascending step function that is nearest to the slopes between the points.
    """
    width = np.diff(x[low : high + 1])
    # Neighbours that are nearly one value have slopes beyond any float: they are taken as steep as floats go.
    with np.errstate(over="ignore"):
        slopes = np.minimum(np.diff(y[low : high + 1]) / width, 1e150)
    pooled = isotonic_regression(slopes, weights=width, increasing=convex)
    corners: Int[np.ndarray, " corners"] = low + pooled.blocks
    return corners
