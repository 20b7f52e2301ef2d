"""Many labellings at once, each a linear layer with softmax over one or several spaces of features."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from einops import einsum
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional


class TaskEncoder(nn.Module):
    """r weight-normalised linear layers of one space, whose softmax is the probability of every cluster.

    The weights of a cluster are a direction and a length (Salimans, Kingma, "Weight Normalization", NeurIPS 2016).

    Args:
        starts: r.
        size: d, of the space.
        clusters: k.
    """

    def __init__(self, starts: int, size: int, clusters: int) -> None:
        super().__init__()
        bound = size**-0.5
        self.direction = nn.Parameter(torch.empty(starts, size, clusters).uniform_(-bound, bound))
        self.length = nn.Parameter(self.direction.detach().norm(dim=1))
        self.bias = nn.Parameter(torch.empty(starts, clusters).uniform_(-bound, bound))

    def forward(self, z: Float[Tensor, "n d"]) -> Float[Tensor, "r n k"]:
        """log τ of every cluster by every start; the rows of τ sum to 1."""
        weight = functional.normalize(self.direction, dim=1) * self.length.unsqueeze(1)
        logits = einsum(z, weight, "n d, r d k -> r n k") + self.bias.unsqueeze(1)
        return torch.log_softmax(logits, dim=2)


class TaskEncoders(nn.Module):
    """A `TaskEncoder` for every space.

    Args:
        starts: r.
        sizes: of the spaces, which stand side by side in a feature.
        clusters: k.
        lengths_count: whether the length of a feature, 1 in the root mean square, says something and is kept.
    """

    def __init__(self, starts: int, sizes: Sequence[int], clusters: int, lengths_count: bool = False) -> None:
        super().__init__()
        self.sizes, self.lengths_count = list(sizes), lengths_count
        self.encoders = nn.ModuleList(TaskEncoder(starts, size, clusters) for size in sizes)

    def spaces(self, z: Float[Tensor, "n d"]) -> list[Float[Tensor, "n _"]]:
        """The parts of a feature, scaled so that numbers are 1 in the root mean square: those of each image and part,
        or, where lengths count, all of them together."""
        parts = torch.split(z, self.sizes, dim=1)
        if self.lengths_count:
            return [part * sum(self.sizes) ** 0.5 for part in parts]
        return [functional.normalize(part, dim=1) * size**0.5 for part, size in zip(parts, self.sizes, strict=True)]

    def forward(self, spaces: Sequence[Float[Tensor, "n _"]]) -> Float[Tensor, "s r n k"]:
        """log τ by each of s spaces; the rows of each τ sum to 1."""
        return torch.stack([encoder(part) for encoder, part in zip(self.encoders, spaces, strict=True)])

    @torch.no_grad()
    def take(self, other: TaskEncoders, start: int) -> None:
        """Become one of another's starts; there is one here."""
        for own, its in zip(self.parameters(), other.parameters(), strict=True):
            own.copy_(its[start : start + 1])

    def get_extra_state(self) -> dict[str, bool]:
        return {"lengths_count": self.lengths_count}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        self.lengths_count = state["lengths_count"]

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        # Older states come from labellings that saw no lengths.
        state_dict.setdefault(f"{prefix}_extra_state", {"lengths_count": False})
        super()._load_from_state_dict(state_dict, prefix, *args)
