"""The neighbour graph of the training images, and walks on it."""

from __future__ import annotations

from jaxtyping import Float, Int64
from torch import Tensor, nn


class Neighbourhood(nn.Module):
    """The nearest training images of every training image, (n, m), and every head's own loss once they are compared."""

    def __init__(self) -> None:
        super().__init__()
        self.indices: Int64[Tensor, "n m"] | None = None
        self.own_losses: Float[Tensor, " r"] | None = None

    def partners(self, indices: Int64[Tensor, " b"], uniform: Float[Tensor, "b s"]) -> Int64[Tensor, " b"]:
        """For every image where a walk of s steps to random neighbours ends, each by a number from 0 to 1."""
        assert self.indices is not None, "neighbours are found before heads are trained"
        self.indices = self.indices.to(indices.device)
        for step in (uniform * self.indices.shape[1]).long().unbind(dim=1):
            indices = self.indices[indices, step]
        return indices

    def get_extra_state(self) -> dict[str, Tensor | None]:
        return {"indices": self.indices, "own_losses": self.own_losses}

    def set_extra_state(self, state: dict[str, Tensor | None]) -> None:
        self.indices, self.own_losses = state["indices"], state["own_losses"]
