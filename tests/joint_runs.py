"""Runs of joint methods on images in memory: whole, and stopped at a step and resumed."""

from __future__ import annotations

import copy
import os
import signal
from collections.abc import Callable
from typing import Any

import pytest
from torch import Tensor

from engine.errors import Interrupted
from engine.loop import Loop
from engine.processes import launch
from engine.progress import Display
from methods.joint import JointMethod


def run(
    method: JointMethod,
    images: Tensor,
    optimiser: dict[str, Any] | None = None,
    save: Callable[..., Any] = lambda *_: None,
    **changes: Any,
) -> Loop:
    """Run all phases, or those that are left of `state`."""
    processes = launch(method.run.runtime)
    phases = method.phases(images, processes)
    keys = [phase.name for phase in phases]
    config = method.run.model_copy(
        update={"runtime": method.run.runtime.model_copy(update={"checkpoint_seconds": 0.0})}
    )
    loop = Loop(method, images, keys, config, processes, save, Display(quiet=True), **changes)
    loop.run(phases, optimiser)
    return loop


def stopped_and_resumed(build: Callable[[], JointMethod], images: Tensor, stop_at: int) -> JointMethod:
    """What a run becomes that is interrupted after `stop_at` steps and resumed from what it saved there."""
    method = build()
    saved: list[tuple[Any, dict[str, Any], dict[str, Any] | None]] = []
    pending = [stop_at]

    def save(state: Any, optimiser: Any) -> None:
        if not pending:
            inner = None if optimiser is None else copy.deepcopy(optimiser.state_dict())
            saved.append((copy.deepcopy(state), copy.deepcopy(method.state_dict()), inner))
        elif state.global_step == pending[0] - 1:
            pending.clear()  # a second signal would stop at once
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(Interrupted):
        run(method, images, save=save)
    state, weights, optimiser = saved[-1]
    assert state.global_step == stop_at
    resumed = build()
    resumed.load_state_dict(weights)
    run(resumed, images, optimiser, state=state)
    return resumed
