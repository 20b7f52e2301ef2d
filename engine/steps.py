"""The steps of one gradient phase: batches in, losses out, and the host never waits for the device in between."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from configs.schema import RunConfig
from data.noise import Noise
from engine.errors import TrainingError
from engine.health import stability_advice
from engine.optimisers import set_learning_rate
from engine.processes import Processes
from engine.randomness import BatchNoise, derive_seed
from engine.step_graph import CAPTURES, StepGraph
from engine.training_images import TrainingImages
from parts.phases import Batch, GradientPhase


class Steps:
    """Takes the steps of a phase, and keeps their losses on the device until someone reads them.

    On the CPU, where reading costs nothing, losses are read before the step: a broken one is not taken. Elsewhere they
    are read some steps later, and the message names the step that broke all the same.

    Args:
        phase: whose steps.
        objective: the phase's module as Fabric has set it up.
        optimiser: likewise.
        images: the training images.
        batch_size: images a step, over all processes.
        processes: device and processes.
        config: of the run: its seed, and whether steps may be captured.
        say: told why steps are not captured.
    """

    def __init__(
        self,
        phase: GradientPhase,
        objective: Any,
        optimiser: Any,
        images: TrainingImages,
        batch_size: int,
        processes: Processes,
        config: RunConfig,
        say: Callable[[str], None],
    ) -> None:
        self.phase, self.objective, self.optimiser = phase, objective, optimiser
        self.images, self.processes, self.seed, self.batch_size = images, processes, config.seed, batch_size
        self.rows = processes.rows(batch_size)
        self._waits = processes.device.type != "cpu"
        self._unread: list[tuple[int, int, Tensor]] = []
        self._names: tuple[str, ...] = ()
        self._read: list[tuple[int, dict[str, float]]] = []
        self._graph: StepGraph | None = None
        alone = processes.count == 1 and images.resident is not None
        if config.runtime.capture and alone and processes.device.type in CAPTURES:
            reads, name = (phase.module, optimiser), phase.name
            self._graph = StepGraph(
                self._captured, reads, batch_size, processes.device, lambda text: say(f"{name}: {text}")
            )

    def begin_epoch(self, order: Int64[Tensor, " n"]) -> None:
        """Take the order of an epoch's images, on the CPU."""
        self.images.begin(order, self.batch_size, self.rows)
        self.state_changed()

    def state_changed(self) -> None:
        """Look at the method's state again, which something besides the steps has changed."""
        if self._graph is not None:
            self._graph.check()

    def take(self, step: int, epoch: int, number: int, rate: float) -> None:
        """One step of the optimiser.

        Args:
            step: its number within the phase.
            epoch: its epoch.
            number: the number of its batch within the epoch.
            rate: the learning rate.

        Raises:
            TrainingError: a loss is NaN or infinite.
        """
        set_learning_rate(self.optimiser, rate)
        seed = derive_seed(self.seed, self.phase.name, "noise", step)

        def keep(losses: Float[Tensor, " losses"]) -> None:
            self._unread.append((step, epoch, losses))
            if not self._waits:
                self._fetch()

        if self._graph is not None:
            keep(self._graph.take(self.images.indices(number), seed))
        else:
            noise = BatchNoise(seed, self.batch_size, self.rows, self.processes.device)
            self._step(Batch(self.images.rows(number), self.images.indices(number), noise), keep)

    def read(self) -> list[tuple[int, dict[str, float]]]:
        """Of every step since the last call its number and its losses, means over the global batch.

        Raises:
            TrainingError: a loss is NaN or infinite.
        """
        self._fetch()
        read, self._read = self._read, []
        return read

    def _captured(self, index: Int64[Tensor, " b"], noise: Noise) -> Float[Tensor, " losses"]:
        assert self.images.resident is not None, "steps are captured where the images are on the device"
        return self._step(Batch(self.images.resident[index], index, noise))

    def _step(
        self, batch: Batch, before_update: Callable[[Float[Tensor, " losses"]], None] = lambda losses: None
    ) -> Float[Tensor, " losses"]:
        losses: dict[str, Float[Tensor, ""]] = self.objective(batch)
        self._names = tuple(losses)
        stacked = torch.stack([value.detach().float() for value in losses.values()])
        before_update(stacked)
        self.optimiser.zero_grad()
        self.processes.fabric.backward(losses["loss"])
        self.optimiser.step()
        with torch.no_grad():
            self.phase.module.after_step(batch)
        return stacked

    def _fetch(self) -> None:
        """Bring the losses that are still on the device to the CPU, in one copy."""
        if not self._unread:
            return
        steps = [(step, epoch) for step, epoch, _ in self._unread]
        # To the CPU before float64, which some devices lack.
        stacked = torch.stack([losses for _, _, losses in self._unread]).cpu().double()
        self._unread.clear()
        means = (self.processes.total(stacked) / self.processes.count).tolist()
        for (step, epoch), row in zip(steps, means, strict=True):
            values = dict(zip(self._names, row, strict=True))
            self._check(step, epoch, values)
            self._read.append((step, values))

    def _check(self, step: int, epoch: int, values: Mapping[str, float]) -> None:
        broken = [f"{name} is {value}" for name, value in values.items() if not math.isfinite(value)]
        if broken:
            raise TrainingError(
                f"stopped in phase {self.phase.name}, step {step} (epoch {epoch + 1}): {', '.join(broken)}. "
                + stability_advice(self.phase)
            )


def all_finite(parameters: Iterable[Tensor]) -> bool:
    """Whether no parameter holds NaN or infinity, by one answer of the device."""
    return bool(torch.stack([parameter.isfinite().all() for parameter in parameters]).all())
