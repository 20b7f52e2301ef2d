"""The outcome of a fit as named arrays: no pickled estimator ever stands in a checkpoint."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn


class FittedArrays(nn.Module):
    """Arrays whose shapes are known only after the fit. They are part of the state dict and stay on the CPU.

    Attributes:
        arrays: by name; empty before the fit.
    """

    def __init__(self) -> None:
        super().__init__()
        self.arrays: dict[str, Tensor] = {}

    @property
    def is_fitted(self) -> bool:
        return bool(self.arrays)

    def get_extra_state(self) -> dict[str, Tensor]:
        return dict(self.arrays)

    def set_extra_state(self, state: dict[str, Tensor]) -> None:
        self.arrays = dict(state)


class LaterArrays(FittedArrays):
    """Arrays that states of before there were any are without: loaded from such a one, they are empty."""

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        state_dict.setdefault(f"{prefix}_extra_state", {})
        super()._load_from_state_dict(state_dict, prefix, *args)
