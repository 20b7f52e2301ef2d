"""The loss on images that were held out of the training set. It is reported and decides nothing."""

from __future__ import annotations

import torch
from jaxtyping import Num
from torch import Tensor

from engine.randomness import BatchNoise, derive_seed
from parts.phases import Batch, GradientPhase


def validation_loss(
    phase: GradientPhase, images: Num[Tensor, "m c h w"], batch_size: int, seed: int, device: torch.device
) -> float:
    """The mean of `phase`'s loss over `images`, its module in evaluation mode.

    The noise is the same at every call, so that a curve shows the weights alone.
    """
    total = 0.0
    with torch.no_grad():
        for number, part in enumerate(torch.split(images, batch_size)):
            noise = BatchNoise(derive_seed(seed, phase.name, "validation", number), len(part), slice(None), device)
            batch = Batch(part.to(device), torch.arange(len(part), device=device), noise)
            total += float(phase.module(batch)["loss"]) * len(part)
    return total / len(images)
