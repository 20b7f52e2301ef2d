"""Optimisers by name, and learning rates as functions of the share of a phase that is done."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW, Optimizer

from configs.schema import OptimiserSettings
from engine.step_graph import CAPTURES
from parts.phases import Objective

Groups = list[dict[str, Any]]

OPTIMISERS: dict[str, Callable[..., Optimizer]] = {
    "adam": lambda groups, s, **made: Adam(groups, eps=s.epsilon, weight_decay=s.weight_decay, **made),
    "adamw": lambda groups, s, **made: AdamW(groups, eps=s.epsilon, weight_decay=s.weight_decay, **made),
    "sgd": lambda groups, s, capturable=False, **made: SGD(
        groups, momentum=s.momentum, weight_decay=s.weight_decay, **made
    ),
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
    parameters = [p for group in by_factor.values() for p in group]
    kinds = {p.device.type for p in parameters}
    # fused: one kernel over all parameters; on two CPU cores it saves a tenth of a small network's step
    fused = kinds <= {"cpu", "cuda"} and all(p.dtype == torch.float32 for p in parameters)
    made: dict[str, Any] = {"lr": settings.learning_rate, "fused": fused}
    if kinds <= set(CAPTURES):
        made["capturable"] = True
        for group in groups:  # a captured step reads the rate where it stands on the device
            group["lr"] = torch.full((), settings.learning_rate, device=parameters[0].device)
    optimiser = OPTIMISERS[settings.name](groups, settings, **made)
    vars(optimiser)["_warned_capturable_if_run_uncaptured"] = True  # the first steps are, and they are few
    return optimiser


def load_optimiser(optimiser: Optimizer, state: dict[str, Any]) -> None:
    """Take an earlier run's moments and step counts. How the steps are computed is the business of this machine."""
    ours = [
        {key: group[key] for key in ("lr", "fused", "capturable") if key in group} for group in optimiser.param_groups
    ]
    for group, own in zip(state["param_groups"], ours, strict=True):
        group.update(own)
    optimiser.load_state_dict(state)
    for group, own in zip(optimiser.param_groups, ours, strict=True):
        group["lr"] = own["lr"]


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
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(rate * group["factor"])
        else:
            group["lr"] = rate * group["factor"]
