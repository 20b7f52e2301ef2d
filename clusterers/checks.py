"""What every clusterer asks of its input."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from clusterers.base import ClusteringError


def check_points(name: str, points: Float[Tensor, "n d"]) -> None:
    """Refuse points that hold NaN or infinity.

    Args:
        name: of the clusterer, as it begins the message.
    """
    if not bool(torch.isfinite(points).all()):
        bad = int((~torch.isfinite(points)).any(dim=1).sum())
        raise ClusteringError(
            f"{name} needs finite points; received NaN or infinity in {bad:,} of {len(points):,}. "
            "Look at the step that made these points."
        )


def check_clusters(name: str, points: Float[Tensor, "n d"], k: int) -> None:
    """Refuse points that hold NaN or infinity, and a k outside 2 to n."""
    if not 2 <= k <= len(points):
        raise ClusteringError(f"{name} needs 2 to {len(points)} clusters for {len(points)} points; received k = {k}.")
    check_points(name, points)
