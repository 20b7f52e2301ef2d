"""Optimisers by name, and learning rates as functions of the share of a phase that is done."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import torch
from torch import nn
from torch.optim import SGD, Adam, AdamW, Optimizer

from configs.schema import OptimiserSettings

OPTIMISERS: dict[str, Callable[[list[nn.Parameter], OptimiserSettings], Optimizer]] = {
    # fused: one kernel over all parameters; on two CPU cores it saves a tenth of a small network's step
    "adam": lambda parameters, s: Adam(
        parameters, s.learning_rate, eps=s.epsilon, weight_decay=s.weight_decay, fused=_fused(parameters)
    ),
    "adamw": lambda parameters, s: AdamW(
        parameters, s.learning_rate, eps=s.epsilon, weight_decay=s.weight_decay, fused=_fused(parameters)
    ),
    "sgd": lambda parameters, s: SGD(
        parameters, s.learning_rate, s.momentum, weight_decay=s.weight_decay, fused=_fused(parameters)
    ),
}


def build_optimiser(parameters: Iterable[nn.Parameter], settings: OptimiserSettings) -> Optimizer:
    """The optimiser that `settings` name, over the parameters that require a gradient."""
    return OPTIMISERS[settings.name]([p for p in parameters if p.requires_grad], settings)


def _fused(parameters: list[nn.Parameter]) -> bool:
    return all(p.device.type in ("cpu", "cuda") and p.dtype == torch.float32 for p in parameters)


# Factors on the learning rate over the share of the phase that is done, from 0 to 1.
SCHEDULES: dict[str, Callable[[float], float]] = {
    "constant": lambda done: 1.0,
    "cosine": lambda done: 0.5 * (1 + math.cos(math.pi * done)),
    # Up from 1/25 over the first fifth, then down to 0, both along a cosine (Smith, Topin, 2018).
    "one-cycle": lambda done: (
        1 - 0.96 * 0.5 * (1 + math.cos(math.pi * done / 0.2))
        if done < 0.2
        else 0.5 * (1 + math.cos(math.pi * (done - 0.2) / 0.8))
    ),
}


def learning_rate(settings: OptimiserSettings, step: int, steps: int) -> float:
    """The learning rate of step 0 <= step < steps."""
    return settings.learning_rate * SCHEDULES[settings.schedule](step / max(steps, 1))


def set_learning_rate(optimiser: Optimizer, rate: float) -> None:
    """Use `rate` in the next step."""
    for group in optimiser.param_groups:
        group["lr"] = rate
