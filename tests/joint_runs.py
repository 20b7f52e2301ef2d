"""Runs of joint methods on images in memory: whole, and gone on with from a step."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence

from torch import Tensor

from data.image_set import ImageSet
from engine.checkpoint import Checkpoint, LoopState
from engine.fit import fit
from methods.joint import JointMethod


def run(
    method: JointMethod,
    images: Tensor,
    earlier: Checkpoint | None = None,
    save: Callable[[Checkpoint], None] | None = None,
) -> LoopState:
    """Run all phases, or those that are left of `earlier`."""
    runtime = method.run.runtime.model_copy(update={"checkpoint_seconds": 0.0})
    config = method.run.model_copy(update={"runtime": runtime})
    return fit(config, ImageSet("small", "train", images), method=method, earlier=earlier, save=save).checkpoint.loop


def whole_and_resumed(
    build: Callable[[], JointMethod], images: Tensor, steps: Sequence[int]
) -> tuple[JointMethod, dict[int, JointMethod]]:
    """What a run becomes and, by step, what another becomes that goes on from the state which the first saved there.

    Asserts that their tensors are the same, bit for bit.
    """
    saved: dict[int, Checkpoint] = {}

    def save(checkpoint: Checkpoint) -> None:
        if checkpoint.loop.global_step in steps:
            saved.setdefault(checkpoint.loop.global_step, copy.deepcopy(checkpoint))

    whole = build()
    run(whole, images, save=save)
    resumed = {step: build() for step in steps}
    for step, method in resumed.items():
        run(method, images, saved[step])
    expected = {name: value for name, value in whole.state_dict().items() if isinstance(value, Tensor)}
    assert [
        (step, name)
        for step, method in resumed.items()
        for name, value in expected.items()
        if not value.equal(method.state_dict()[name])
    ] == []
    return whole, resumed
