"""Methods that had another name once: their checkpoints and configs are read under today's.

Until SCAN as published took the name `scan`, it was that of `pace`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

OF_PACE = {
    "cluster": frozenset({"generations", "mutation", "hog", "walk", "jaccard"}),
    "self_label": frozenset({"max_epochs", "update_interval", "tol"}),
}
"""Settings that a method called scan had only while it was pace, by their section. Its checkpoints hold all of the
clustering step's."""


def under_todays_name(raw: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a checkpoint or of a file, with the name that their method has today."""
    sections = {name: raw.get(name) for name in OF_PACE}
    is_pace = any(isinstance(held, Mapping) and not OF_PACE[name].isdisjoint(held) for name, held in sections.items())
    return {**raw, "method": "pace"} if is_pace and raw.get("method") == "scan" else dict(raw)
