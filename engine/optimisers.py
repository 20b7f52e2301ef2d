"""Optimisers by name, and learning rates as functions of the share of a phase that is done."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn
from torch.optim import SGD, Adam, AdamW, Optimizer

from configs.schema import OptimiserSettings
from parts.phases import Objective

Groups = list[dict[str, Any]]

OPTIMISERS: dict[str, Callable[[Groups, OptimiserSettings, bool], Optimizer]] = {
    # fused: one kernel over all parameters; on two CPU cores it saves a tenth of a small network's step
    "adam": lambda groups, s, fused: Adam(
        groups, s.learning_rate, eps=s.epsilon, weight_decay=s.weight_decay, fused=fused
    ),
    "adamw": lambda groups, s, fused: AdamW(
        groups, s.learning_rate, eps=s.epsilon, weight_decay=s.weight_decay, fused=fused
    ),
    "sgd": lambda groups, s, fused: SGD(groups, s.learning_rate, s.momentum, weight_decay=s.weight_decay, fused=fused),
}


def build_optimiser(objective: Objective, settings: OptimiserSettings) -> Optimizer:
    """The optimiser that `settings` name, over the objective's parameters that require a gradient.

    Parameters of one factor on the learning rate are one group, which carries it as "factor".
    """
    by_factor: dict[float, list[nn.Parameter]] = {}
    for name, parameter in objective.named_parameters():
        if parameter.requires_grad:
            factor = objective.rate_factors.get(name.partition(".")[0], 1.0)
            by_factor.setdefault(factor, []).append(parameter)
    groups: Groups = [{"params": group, "factor": factor} for factor, group in by_factor.items()]
    return OPTIMISERS[settings.name](groups, settings, _fused([p for group in by_factor.values() for p in group]))


def _fused(parameters: list[nn.Parameter]) -> bool:
    return all(p.device.type in ("cpu", "cuda") and p.dtype == torch.float32 for p in parameters)


def forget(optimiser: Optimizer, parameters: Iterable[nn.Parameter]) -> None:
    """Drop what the optimiser remembers of `parameters`: moments and step counts."""
    for parameter in parameters:
        optimiser.state.pop(parameter, None)


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


def learning_rate(settings: OptimiserSettings, step: int, steps_per_epoch: int, epochs: int) -> float:
    """The learning rate of step 0 <= step < steps_per_epoch · epochs."""
    if settings.schedule == "step":
        return settings.learning_rate * settings.decay ** (step // steps_per_epoch // settings.decay_epochs)
    return settings.learning_rate * SCHEDULES[settings.schedule](step / max(steps_per_epoch * epochs, 1))


def set_learning_rate(optimiser: Optimizer, rate: float) -> None:
    """Use `rate`, times the group's factor, in the next step."""
    for group in optimiser.param_groups:
        group["lr"] = rate * group["factor"]
