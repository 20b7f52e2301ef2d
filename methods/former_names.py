"""Methods that had another name once: their checkpoints and configs are read under today's.

Until SCAN as published took the name `scan`, it was that of `pace`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

OF_PACE = frozenset({"generations", "mutation", "hog", "walk", "jaccard"})
"""Settings of the clustering step that a method called scan had only while it was pace. Its checkpoints hold all."""


def under_todays_name(raw: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a checkpoint or of a file, with the name that their method has today."""
    cluster = raw.get("cluster")
    is_pace = raw.get("method") == "scan" and isinstance(cluster, Mapping) and not OF_PACE.isdisjoint(cluster)
    return {**raw, "method": "pace"} if is_pace else dict(raw)
