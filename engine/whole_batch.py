"""Layers that see the whole batch, whatever the number of processes that share it.

A process has some rows of a batch. Batch-norm's statistics are those of all rows. Dropout draws for all rows and keeps
its own, so that no two rows get one mask and an image's mask does not depend on the number of processes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

if TYPE_CHECKING:
    from engine.processes import Processes


def see_whole_batch(module: nn.Module, processes: Processes) -> None:
    """Let the batch-norm and dropout layers within `module` see the rows of all processes; one changes nothing.

    Their class changes in place: other modules that hold them and the names in the state stay as they are.
    """
    if processes.count == 1:
        return
    for layer in module.modules():
        if type(layer) in WHOLE:
            layer.__class__ = WHOLE[type(layer)]
            layer.processes = processes  # type: ignore[assignment]


class _WholeBatchNorm(nn.modules.batchnorm._BatchNorm):
    """Batch-norm by the statistics of all processes' rows, where gradients flow."""

    processes: Any

    def forward(self, input: Float[Tensor, "b c ..."]) -> Float[Tensor, "b c ..."]:
        # A pass without gradients is no step: every process may look at other images.
        if not (self.training and torch.is_grad_enabled()):
            return super().forward(input)
        x = input.float()
        others = [dimension for dimension in range(x.dim()) if dimension != 1]
        shape = [1, -1, *[1] * (x.dim() - 2)]
        mean = self.processes.pooled(x.mean(dim=others))
        centred = x - mean.view(shape)
        variance = self.processes.pooled(centred.square().mean(dim=others))
        self._remember(mean.detach(), variance.detach(), rows=x.numel() // x.shape[1] * self.processes.count)
        normed = centred * (variance + self.eps).rsqrt().view(shape)
        if self.affine:
            normed = normed * self.weight.view(shape) + self.bias.view(shape)
        result: Tensor = normed.to(input.dtype)
        return result

    def _remember(self, mean: Float[Tensor, " c"], variance: Float[Tensor, " c"], rows: int) -> None:
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            return
        self.num_batches_tracked.add_(1)
        share = 1 / self.num_batches_tracked if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean, share)
        self.running_var.lerp_(variance * rows / (rows - 1), share)


class WholeBatchNorm1d(_WholeBatchNorm, nn.BatchNorm1d):
    """See `see_whole_batch`."""


class WholeBatchNorm2d(_WholeBatchNorm, nn.BatchNorm2d):
    """See `see_whole_batch`."""


class WholeBatchDropout(nn.Dropout):
    """See `see_whole_batch`. The global generator is at the same place on every process."""

    processes: Any

    def forward(self, input: Float[Tensor, "b ..."]) -> Float[Tensor, "b ..."]:
        if not self.training or self.p == 0:
            return functional.dropout(input, self.p, self.training)
        rows = len(input) * self.processes.count
        # One process would draw in the order in which its input lies in memory.
        channels_last = input.dim() == 4 and input.is_contiguous(memory_format=torch.channels_last)
        layout = torch.channels_last if channels_last else torch.contiguous_format
        everyone = torch.empty((rows, *input.shape[1:]), device=input.device, memory_format=layout)
        kept = everyone.bernoulli_(1 - self.p)[self.processes.rows(rows)]
        return input * (kept / (1 - self.p)).to(input.dtype)


WHOLE: dict[type[nn.Module], type[nn.Module]] = {
    nn.BatchNorm1d: WholeBatchNorm1d,
    nn.BatchNorm2d: WholeBatchNorm2d,
    nn.Dropout: WholeBatchDropout,
}
