"""A toy method for tests of the loop: three phases, dropout, refreshes by script; and a recorder of what happens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from configs.schema import OptimiserSettings, RunConfig, RuntimeSettings
from engine.loop import Loop
from engine.processes import launch
from engine.progress import Display
from methods.base import Assignments, Method
from parts.phases import Batch, Compute, FitPhase, GradientPhase, Objective, Phase

IMAGES = torch.randint(0, 256, (50, 1, 2, 2), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
CONFIG = RunConfig(method="toy", clusters=3, runtime=RuntimeSettings(device="cpu", checkpoint_seconds=0))


class ToyObjective(Objective):
    """A weight that follows the images' mean, with dropout to draw from the global generator."""

    def __init__(self, break_at: int | None) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(4))
        self.dropout = nn.Dropout(0.5)
        self.break_at = break_at
        self.steps = 0
        self.seen: list[list[int]] = []

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        self.seen.append(batch.indices.tolist())
        x = self.dropout(batch.images.flatten(1) / 255) + 0.1 * batch.noise.normal(4)
        loss = (x - self.weight).square().mean()
        broken = loss / 0 if self.steps == self.break_at else loss
        self.steps += 1
        return {"loss": loss, "toy": broken.detach()}


class Toy(nn.Module):
    """Phases: "pretrain" (gradient), "initialise" (fit), "cluster" (gradient with refreshes)."""

    space, dimensions = "toy", 4
    clusters = 3
    notes = ()

    def __init__(
        self, refreshes: Sequence[Tensor] = (), break_at: int | None = None, tol: float = 0.0, batch_size: int = 8
    ) -> None:
        super().__init__()
        self.first, self.second = ToyObjective(None), ToyObjective(break_at)
        self.register_buffer("fitted", torch.zeros(1))
        self.refreshes, self.tol, self.batch_size = list(refreshes), tol, batch_size
        self.fits = 0

    def phases(self, images: Tensor, compute: Compute) -> Sequence[Phase]:
        def fit() -> None:
            self.fits += 1
            self.get_buffer("fitted").fill_(1.0)

        def refresh() -> Tensor:
            return self.refreshes.pop(0) if self.refreshes else torch.arange(len(images)) % 3

        optimiser = OptimiserSettings(learning_rate=0.1)
        return (
            GradientPhase("pretrain", self.first, optimiser, epochs=2, batch_size=self.batch_size),
            FitPhase("initialise", nn.BatchNorm1d(1), fit),
            GradientPhase("cluster", self.second, optimiser, 3, self.batch_size, refresh, 4, clusters=3, tol=self.tol),
        )

    def embed(self, images: Tensor) -> Tensor:
        return images.flatten(1).float()

    def assign(self, images: Tensor) -> Assignments:
        return Assignments(torch.arange(len(images)) % 3)


class Recorder:
    """An observer that writes everything down."""

    def __init__(self) -> None:
        self.events: list[tuple[Any, ...]] = []

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        self.events.append(("scalars", step, dict(values)))

    def refreshed(self, phase: str, step: int, assignments: Tensor, clusters: int) -> None:
        self.events.append(("refreshed", step, assignments.tolist(), clusters))

    def epoch_finished(self, phase: str, epoch: int, step: int, method: Method) -> None:
        self.events.append(("epoch", phase, epoch, step))

    def phase_finished(self, phase: str, step: int, method: Method) -> None:
        self.events.append(("phase", phase, step))

    def close(self) -> None:
        self.events.append(("close",))


def loop(method: Toy, **changes: Any) -> Loop:
    values: dict[str, Any] = {
        "method": method,
        "images": IMAGES,
        "keys": ["pretrain", "initialise", "cluster"],
        "config": CONFIG,
        "processes": launch(CONFIG.runtime),
        "save": lambda *_: None,
        "display": Display(quiet=True),
    }
    return Loop(**{**values, **changes})


def run(method: Toy, **changes: Any) -> Loop:
    made = loop(method, **changes)
    made.run(method.phases(IMAGES, made.processes))
    return made
