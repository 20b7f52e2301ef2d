"""Features of frozen networks that a run computed once, given back to whoever opens the run.

No checkpoint holds them, and computing them is what takes long. They are found in the store of phases by the addresses
that the run wrote down. An image's features are found by its bytes, so that it matters not which images are asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from methods.base import KeepsFeatures, Method
from parts.frozen_backbone import FROZEN_PHASE


def recall_features(method: Method, keys: Sequence[str], get: Callable[[str], dict[str, Any] | None]) -> None:
    """Give `method` the features that its run left. Those that are gone are computed when they are needed.

    Args:
        method: of the run.
        keys: the addresses of the run's phases, in their order.
        get: what the store has at an address.
    """
    if not isinstance(method, KeepsFeatures):
        return
    for features, key in zip(method.kept_features, keys, strict=False):
        found = get(key)
        if found is not None and found["history"][-1]["phase"] == FROZEN_PHASE and _tells_images(found["state"]):
            features.load_state_dict(found["state"])


def _tells_images(state: dict[str, Any]) -> bool:
    """Whether it says of which images the features are, which older versions did not write down."""
    return "fingerprints" in state.get("_extra_state", {})
