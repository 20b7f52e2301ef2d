"""Batch-norm's running statistics of weights that no training step led to."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Shaped
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from models.batched import rows_at_once


def estimate_statistics(
    network: nn.Module, function: Callable[[Tensor], Tensor], rows: Shaped[Tensor, "n ..."], device: torch.device
) -> None:
    """Set the running mean and variance of every batch-norm in `network` to those of `rows` under its present weights.

    They are means over batches of equal size, each normalised by its own statistics as in training, but without
    dropout. Nothing is drawn, and nothing asked of other processes: with the same rows all end with the same numbers.
    Momentum and modes are as before afterwards. Without batch-norm it does nothing.

    Args:
        network: whose statistics are estimated.
        function: of a batch of rows on `device`; it passes them through the network.
        rows: at least 2.
        device: of the network.
    """
    norms = [module for module in network.modules() if isinstance(module, _BatchNorm) and module.track_running_stats]
    if not norms:
        return
    modes = [(module, module.training) for module in network.modules()]
    momenta = [norm.momentum for norm in norms]
    network.eval()
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # torch's way to ask for the plain mean over batches
        norm.train()
    with torch.no_grad():
        for batch in torch.tensor_split(rows, -(-len(rows) // rows_at_once(rows))):
            function(batch.to(device))
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    for module, training in modes:
        module.training = training
