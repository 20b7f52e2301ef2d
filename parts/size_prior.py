"""How large clusters are expected to be: of one size, of given sizes, or of sizes that are learned with them.

A loss that holds cluster sizes to a prior keeps all images from ending in one cluster. Under a uniform prior it also
cuts a large class into clusters of equal size. A learned prior gives way: it is a mixture of the uniform one and of the
sizes that the clusters have. So a cluster that grows is held back less and less, and no cluster may vanish, for its
expected share never falls below (1 - freedom) / k.

Source of the idea that the sizes may move away from a uniform prior, at a cost: Zhang, Ren, He, "P²OT: Progressive
Partial Optimal Transport for Deep Imbalanced Clustering", ICLR 2024. The mixture is this project's own.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn

from configs.schema import PositiveFloat, Settings, Share

Momentum = Annotated[float, Field(ge=0, lt=1)]
"""Of a moving average: the weight of what was before."""


class SizePriorSettings(Settings):
    """Expected sizes of the clusters."""

    prior: Literal["learned"] | tuple[PositiveFloat, ...] | None = None
    """null: all clusters are of one size. learned: of the sizes that they take, within limits. Or the share of every
    cluster."""
    prior_freedom: Share = 0.8
    """Of a learned prior: the weight of the sizes that the clusters have; the rest is uniform. 0: uniform."""

    def check_shares(self, clusters: int) -> None:
        """Raises ValueError where shares are given that are not `clusters` or do not sum to 1."""
        if isinstance(self.prior, tuple) and (len(self.prior) != clusters or abs(sum(self.prior) - 1) > 1e-3):
            raise ValueError(
                f"cluster.prior must hold {clusters} shares that sum to 1; received {len(self.prior)} with the sum "
                f"{sum(self.prior):.3g}"
            )


class MovingSizes(nn.Module):
    """Sizes of k clusters, for each of r heads, as a moving average over batches.

    It belongs to the method that trains by it: a run that stops in the middle of a phase keeps the state of its method
    alone.
    """

    value: Tensor

    def __init__(self, heads: int, clusters: int) -> None:
        super().__init__()
        self.register_buffer("value", torch.full((heads, clusters), 1 / clusters))

    def follow(self, seen: Float[Tensor, "r k"], momentum: float) -> Float[Tensor, "r k"]:
        """The average, once the sizes in a batch are `seen`."""
        self.value.mul_(momentum).add_(seen, alpha=1 - momentum)
        return self.value

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *rest: Any) -> None:
        state_dict.setdefault(f"{prefix}value", self.value)  # checkpoints from before it was kept
        super()._load_from_state_dict(state_dict, prefix, *rest)


class SizePrior(nn.Module):
    """The shares that are expected of k clusters, for each of r heads. With a momentum it is state of the method.

    Args:
        settings: which.
        heads: r.
        clusters: k.
        momentum: of a learned prior: the weight of earlier batches in its estimate of the sizes. 0: those of the batch
            alone.
    """

    fixed: Tensor

    def __init__(self, settings: SizePriorSettings, heads: int, clusters: int, momentum: float = 0.0) -> None:
        super().__init__()
        self.is_uniform, self.learned = settings.prior is None, settings.prior == "learned"
        if self.learned:
            self.freedom, self.momentum = settings.prior_freedom, momentum
        shares = settings.prior if isinstance(settings.prior, tuple) else [1 / clusters] * clusters
        self.register_buffer("fixed", torch.tensor(shares), persistent=False)
        if self.learned and momentum:
            self.sizes = MovingSizes(heads, clusters)

    def forward(self, sizes: Float[Tensor, "r k"]) -> Float[Tensor, "*#r k"]:
        """The prior of a training step, in which the clusters have these sizes; follows them where it is learned."""
        if not self.learned:
            return self.fixed
        if not self.momentum:
            return self.given(sizes)
        return self.given(self.sizes.follow(sizes.detach(), self.momentum))

    def given(self, sizes: Float[Tensor, "*r k"]) -> Float[Tensor, "*#r k"]:
        """The prior of clusters whose sizes over all images are known."""
        if not self.learned:
            return self.fixed.to(sizes.device)
        return torch.lerp(self.fixed.to(sizes), sizes.detach(), self.freedom)
