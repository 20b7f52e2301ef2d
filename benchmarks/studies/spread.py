"""Several runs of one thing as text."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean, stdev


def spread(values: Sequence[float], digits: int, sign: str = "") -> str:
    """Mean ± sample standard deviation, the mean alone of a single value; `sign` "+" shows that of a gain."""
    mean = f"{fmean(values):{sign}.{digits}f}"
    return f"{mean} ± {stdev(values):.{digits}f}" if len(values) > 1 else mean
