"""`runtime.precision: auto`: in which precision this network trains fastest on this machine, by timing a few steps.

What is found stands in the run's config from then on, so that a resumed run keeps it and no run is called "auto".
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, NamedTuple, cast

import torch
from jaxtyping import Num
from torch import Tensor, nn

from configs.schema import RunConfig
from engine.checkpoint import Checkpoint
from engine.errors import TrainingError
from engine.optimisers import build_optimiser
from engine.processes import Processes, use_tf32
from engine.randomness import generator_states, restore_generators
from engine.steps import Steps
from engine.training_images import TrainingImages
from methods.base import Method
from parts.phases import FitPhase, GradientPhase, Phase

NEAR = 1.1
"""A more exact precision is taken up to so many times the fastest one's seconds: less is not worth the digits."""
SECONDS, BURST, ROUNDS = 3.0, 0.1, 20
"""For all timing, of a burst of steps, and bursts at most. Their minimum counts: others wait for the machine."""
WARM_UP = 5
"""Steps before them. In these kernels are chosen, the optimiser makes its state, and steps are captured."""
SAMPLE = 4096
"""Images that the steps are taken on."""


class Arithmetic(NamedTuple):
    """How a network computes: the settings `runtime.precision` and `runtime.tf32`."""

    precision: str
    tf32: bool = False

    def __str__(self) -> str:
        return f"{self.precision} with TF32" if self.tf32 else self.precision


OFFERED: dict[str, tuple[Arithmetic, ...]] = {
    "cpu": (Arithmetic("32-true"), Arithmetic("bf16-mixed")),
    "cuda": (Arithmetic("32-true"), Arithmetic("32-true", True), Arithmetic("bf16-mixed")),
}
"""By the kind of device, the most exact first. Other devices compute in float32."""


def settled(
    config: RunConfig,
    method: Method,
    images: Num[Tensor, "n c h w"],
    processes: Processes,
    earlier: Checkpoint | None,
    say: Callable[[str], None],
) -> RunConfig:
    """The config with a precision in the place of "auto", in which `processes` compute from here on.

    Args:
        config: of the run.
        method: of which a copy is trained for some steps; this one is left as it is.
        images: the training images.
        processes: the first of them finds the precision for all.
        earlier: a run that is gone on with, whose precision is kept.
        say: told what was chosen and why.

    Raises:
        ModelError: the network does not fit the images.
    """
    if config.runtime.precision != "auto":
        return config
    if earlier is not None:
        runtime = earlier.config["runtime"]
        chosen = Arithmetic(runtime["precision"], runtime["tf32"])
    else:
        chosen, reason = processes.once(lambda: _chosen(config, method, images, processes.device, processes.count))
        say(f"precision: {chosen} ({reason})")
    processes.compute_in(*chosen)
    settings = config.runtime.model_copy(update=chosen._asdict())
    return config.model_copy(update={"runtime": settings})


def most_exact(seconds: Mapping[Arithmetic, float]) -> Arithmetic:
    """Of those that are about as fast as the fastest, the first."""
    return next(one for one in seconds if seconds[one] <= NEAR * min(seconds.values()))


def _chosen(
    config: RunConfig, method: Method, images: Num[Tensor, "n c h w"], device: torch.device, count: int
) -> tuple[Arithmetic, str]:
    """The precision for one of `count` processes, and the reason in words."""
    # A wish for TF32 leaves no place for exact float32.
    offered = [one for one in OFFERED.get(device.type, ()) if one.tf32 or not (config.runtime.tf32 and _exact(one))]
    usual = Arithmetic("32-true", config.runtime.tf32)
    if len(offered) < 2:
        return usual, f"the only one that is offered on {device.type}"
    with _no_trace(device):
        trials = {one: Trial(one, config, method, images, device, count) for one in offered}
        if any(trial.phase is None for trial in trials.values()):
            return usual, "no network is trained"
        name = next(iter(trials.values())).phase_name
        seconds = minima(trials)
    if not seconds:
        return usual, "no other could be timed"
    chosen = most_exact(seconds)
    timed = ", ".join(f"{one} {1e3 * value:.3g} ms" for one, value in seconds.items())
    near = "" if seconds[chosen] == min(seconds.values()) else f"; the fastest is less than {NEAR - 1:.0%} faster"
    return chosen._replace(tf32=chosen.tf32 or config.runtime.tf32), f"a step of {name}: {timed}{near}"


def _exact(one: Arithmetic) -> bool:
    return one == Arithmetic("32-true")


def minima(trials: Mapping[Arithmetic, Trial]) -> dict[Arithmetic, float]:
    """Seconds of a step: bursts by turns, so that whatever else the machine does meets all of them.

    One whose steps fail, as bf16 where a layer lacks it, is left out.
    """
    begin = time.perf_counter()
    found: dict[Arithmetic, float] = {}
    for one, trial in trials.items():
        try:
            found[one] = trial.warm_up(SECONDS / 2 / len(trials))
        except (RuntimeError, TrainingError):
            continue
    steps = {one: max(1, int(BURST / max(seconds, 1e-3))) for one, seconds in found.items()}
    for one in found:
        found[one] = trials[one].burst(steps[one])  # what warming up took is no measurement
    for _ in range(ROUNDS):
        if time.perf_counter() - begin > SECONDS:
            break
        for one in found:
            found[one] = min(found[one], trials[one].burst(steps[one]))
    return found


class Trial:
    """A copy of the method, some steps of which are taken in one precision.

    Attributes:
        phase: what is trained, or None where the method trains nothing by steps.
    """

    def __init__(
        self,
        arithmetic: Arithmetic,
        config: RunConfig,
        method: Method,
        images: Num[Tensor, "n c h w"],
        device: torch.device,
        count: int,
    ) -> None:
        self._arithmetic, self._device = arithmetic, device
        alone = Processes(cast(Any, _OneProcess(device)))
        trained, sample = copy.deepcopy(method), images[:SAMPLE]
        phases = trained.phases(sample, alone)
        trained.to(device)
        trained.eval()
        self.phase = phase = _largest(phases)
        if phase is None:
            return
        phase.module.to(device).train()
        runtime = config.runtime.model_copy(update={"capture": config.runtime.capture and count == 1})
        size = min(max(phase.batch_size // count, 1), len(sample))
        optimiser = build_optimiser(phase.module, phase.optimiser)
        self._rate, self._per_epoch = phase.optimiser.learning_rate, len(sample) // size
        self._steps = Steps(
            phase,
            self._computed(phase.module),
            optimiser,
            TrainingImages(sample, device),
            size,
            alone,
            config.model_copy(update={"runtime": runtime}),
            lambda text: None,  # the run itself will say it
        )
        self._steps.begin_epoch(torch.arange(len(sample)))
        self._taken = 0

    @property
    def phase_name(self) -> str:
        """For people."""
        return "" if self.phase is None else self.phase.name

    def warm_up(self, limit: float) -> float:
        """Up to `WARM_UP` steps, as many as `limit` seconds allow; the seconds of the last."""
        begin, seconds = time.perf_counter(), 0.0
        for _ in range(WARM_UP):
            seconds = self.burst(1)
            if time.perf_counter() - begin > limit:
                break
        return seconds

    def burst(self, steps: int) -> float:
        """Seconds of one of so many steps."""
        use_tf32(self._arithmetic.tf32)
        begin = time.perf_counter()
        for _ in range(steps):
            self._steps.take(self._taken, 0, self._taken % self._per_epoch, self._rate)
            self._taken += 1
        self._steps.read()  # waits for the device
        return (time.perf_counter() - begin) / steps

    def _computed(self, module: nn.Module) -> Callable[[Any], Any]:
        def compute(batch: Any) -> Any:
            with in_precision(self._arithmetic.precision, self._device):
                return module(batch)

        return compute


class _OneProcess:
    """What steps ask of Fabric, for a process by itself: other processes take no part in what it tries."""

    global_rank, world_size = 0, 1

    def __init__(self, device: torch.device) -> None:
        self.device = device

    def backward(self, loss: Tensor) -> None:
        loss.backward()  # type: ignore[no-untyped-call]


def in_precision(precision: str, device: torch.device) -> AbstractContextManager[Any]:
    """Within, layers compute as Fabric lets them."""
    return torch.autocast(device.type, torch.bfloat16) if precision == "bf16-mixed" else nullcontext()


def _largest(phases: Sequence[Phase]) -> GradientPhase | None:
    """Of the phases that need nothing computed before, the one that trains most weights: most of the time is its."""
    found: list[GradientPhase] = []
    for phase in phases:
        if isinstance(phase, FitPhase):
            break
        found.append(phase)
    return max(found, key=lambda phase: sum(p.numel() for p in phase.module.parameters()), default=None)


@contextmanager
def _no_trace(device: torch.device) -> Iterator[None]:
    """Afterwards global generators are as before, and a GPU's memory and the count of it."""
    states = generator_states()
    try:
        yield
    finally:
        restore_generators(states)
        if device.type == "cuda":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats(device)
