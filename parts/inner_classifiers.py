"""Linear classifiers that are trained within a step of something else, by Adam of their own, and kept between steps.

Source of the optimiser: Kingma, Ba, "Adam: A Method for Stochastic Optimization", ICLR 2015, algorithm 1.
"""

from __future__ import annotations

import torch
from einops import einsum
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from losses.precision import in_full_precision
from losses.turtle import soft_cross_entropy_gradient
from parts.phases import Compute

FIRST, SECOND, EPSILON = 0.9, 0.999, 1e-8
"""Adam's β1, β2 and ε."""


class InnerClassifiers(nn.Module):
    """r linear classifiers of one space. No gradient of a loss reaches them: they follow their own.

    All is held in buffers that keep their place, so that a captured step and a resumed run find them.

    Args:
        starts: r.
        size: d, of the space.
        clusters: k.
        rate: the learning rate.
    """

    weight: Tensor
    first: Tensor
    second: Tensor
    steps: Tensor

    def __init__(self, starts: int, size: int, clusters: int, rate: float) -> None:
        super().__init__()
        self.rate = rate
        bound = size**-0.5
        self.register_buffer("weight", torch.empty(starts, size + 1, clusters).uniform_(-bound, bound))
        self.register_buffer("first", torch.zeros_like(self.weight))
        self.register_buffer("second", torch.zeros_like(self.weight))
        self.register_buffer("steps", torch.zeros(()))

    def forward(self, z: Float[Tensor, "n d"]) -> Float[Tensor, "r n k"]:
        """log p of every cluster by every classifier; the rows of p sum to 1."""
        return self._log_p(with_ones(z))

    @torch.no_grad()
    def learn(self, z: Float[Tensor, "n d"], labels: Float[Tensor, "r n k"], steps: int, compute: Compute) -> None:
        """Take so many steps of Adam on the cross-entropy against soft labels.

        Args:
            z: this process's rows of a batch.
            labels: τ of these rows, for every classifier its own.
            steps: M.
            compute: the machine: gradients are those of the whole batch, whatever the number of processes.
        """
        points = with_ones(z)
        for _ in range(steps):
            self._step(compute.pooled(soft_cross_entropy_gradient(points, self._log_p(points), labels)))

    @in_full_precision
    def _log_p(self, points: Float[Tensor, "n e"]) -> Float[Tensor, "r n k"]:
        return torch.log_softmax(einsum(points, self.weight, "n e, r e k -> r n k"), dim=2)

    def _step(self, gradient: Float[Tensor, "r e k"]) -> None:
        self.steps.add_(1)
        self.first.lerp_(gradient, 1 - FIRST)
        self.second.mul_(SECOND).addcmul_(gradient, gradient, value=1 - SECOND)
        mean, square = self.first / (1 - FIRST**self.steps), self.second / (1 - SECOND**self.steps)
        self.weight.sub_(self.rate * mean / (square.sqrt() + EPSILON))


def with_ones(z: Float[Tensor, "n d"]) -> Float[Tensor, "n e"]:
    """`z` and a column of ones, by which the last weights are a bias."""
    return functional.pad(z, (0, 1), value=1.0)
