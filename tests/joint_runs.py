"""Runs of joint methods on images in memory: whole, and gone on with from a step."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

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


def whole_and_resumed(
    build: Callable[[], JointMethod], images: Tensor, steps: Sequence[int]
) -> tuple[JointMethod, dict[int, JointMethod]]:
    """What a run becomes and, by step, what another becomes that goes on from the state which the first saved there.

    Asserts that their tensors are the same, bit for bit.
    """
    whole = build()
    saved: dict[int, tuple[Any, dict[str, Any], dict[str, Any]]] = {}

    def save(state: Any, optimiser: Any) -> None:
        if state.global_step in steps and state.global_step not in saved:
            saved[state.global_step] = copy.deepcopy((state, whole.state_dict(), optimiser.state_dict()))

    run(whole, images, save=save)
    resumed = {step: build() for step in steps}
    for step, method in resumed.items():
        state, weights, optimiser = saved[step]
        method.load_state_dict(weights)
        run(method, images, optimiser, state=state)
    expected = {name: value for name, value in whole.state_dict().items() if isinstance(value, Tensor)}
    assert [
        (step, name)
        for step, method in resumed.items()
        for name, value in expected.items()
        if not torch.equal(value, method.state_dict()[name])
    ] == []
    return whole, resumed
