"""What methods are made of for the loop: phases, and what a phase may ask of the machine.

A `FitPhase` computes something once (centroids from KMeans); a `GradientPhase` is trained by the loop, step by step.
Neither knows a device, a process, a file or a logger. None of them ever sees a label, but for those that a person made
known (`data.known`).

Runs share a finished phase where all is equal that hangs on it: its fields, its modules, and what its functions hold
(`engine.phase_keys`). So let `fit`, `refresh` and `restart` hold what they use and no more: one that holds the whole
method is shared with runs of the same config alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol, TypeVar, runtime_checkable

from jaxtyping import Float, Int64, Num, Shaped
from torch import Tensor, nn

from configs.schema import OptimiserSettings
from data.noise import Noise

T = TypeVar("T")


class Batch(NamedTuple):
    """What a training step is given: this process's rows of the global batch.

    Attributes:
        images: (b, c, h, w), uint8, on the training device.
        indices: (b,), int64, the images' positions in the training set, on the training device.
        noise: random numbers for these rows.
    """

    images: Num[Tensor, "b c h w"]
    indices: Int64[Tensor, " b"]
    noise: Noise


class Objective(nn.Module):
    """What a gradient phase trains: `forward(batch)` returns the losses, and "loss" is minimised.

    Its parameters with `requires_grad` are what the optimiser sees. Under several processes the returned
    values are means over this process's rows.
    """

    rate_factors: Mapping[str, float] = {}
    """Factors on the learning rate, by the first part of a parameter's name; 1 for all others."""

    def forward(self, batch: Batch) -> dict[str, Float[Tensor, ""]]:
        raise NotImplementedError

    def after_step(self, batch: Batch) -> None:
        """What a method does by hand after the optimiser's step on `batch`, without gradients."""


@runtime_checkable
class Compute(Protocol):
    """What a phase may ask of the machine without knowing it: passes over all images, sums, one result."""

    def map(self, function: Callable[[Tensor], Tensor], images: Num[Tensor, "n c h w"]) -> Float[Tensor, "n ..."]:
        """`function(batch)` over all images without gradients, shared among the processes, on the CPU."""
        ...

    def pick(self, images: Num[Tensor, "n c h w"], indices: Int64[Tensor, " b"]) -> Num[Tensor, "b c h w"]:
        """Some of the training images, on the device of `indices`."""
        ...

    def place(self, points: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
        """`points` on the device, for an estimator that computes where they are."""
        ...

    def shard(self, rows: Tensor) -> Tensor:
        """This process's share of `rows`, (n, ...), as `gather` puts it back."""
        ...

    def gather(self, shard: Tensor, rows: int) -> Tensor:
        """All processes' shards in order, (rows, ...)."""
        ...

    def total(self, value: Tensor) -> Tensor:
        """The sum of `value` over all processes."""
        ...

    def together(self, own: Shaped[Tensor, "b ..."]) -> Shaped[Tensor, "n ..."]:
        """The rows of a batch that all processes have, of which gradients flow through our own."""
        ...

    def pooled(self, mean: Float[Tensor, ...]) -> Float[Tensor, ...]:
        """The mean over all processes of each one's `mean` over its own rows of a batch, with gradients to all."""
        ...

    def once(self, function: Callable[[], T]) -> T:
        """`function()` computed by one process and handed to all.

        Of this protocol only `place` may be called within it: the other processes would not answer.
        """
        ...


class Progress:
    """How far a fit is, for whoever shows it.

    Args:
        total: what there is to do, in the fit's own unit.

    Attributes:
        listen: told of what is done and of the total, after every part.
    """

    def __init__(self, total: int) -> None:
        self.total, self.done = total, 0
        self.listen: Callable[[int, int], None] | None = None

    def add(self, more: int) -> None:
        """Count what was done."""
        self.done += more
        if self.listen is not None:
            self.listen(self.done, self.total)


@dataclass(frozen=True)
class FitPhase:
    """Something computed once, without gradient steps.

    Attributes:
        name: "initialise", "represent", …
        module: the part of the method that holds the outcome.
        fit: does the work and puts the outcome into `module`.
        progress: of a fit that counts its parts.
        draws: whether the outcome depends on the run's seed.
    """

    name: str
    module: nn.Module
    fit: Callable[[], None]
    progress: Progress | None = None
    draws: bool = True


@dataclass(frozen=True)
class GradientPhase:
    """Something trained by the loop.

    Attributes:
        name: "pretrain", "cluster", …
        module: the losses and the parameters to train.
        optimiser: optimiser, learning rate and its schedule.
        epochs: passes over the training set at most.
        cycles: how often the learning rate runs through its schedule, each time over the same number of epochs.
        batch_size: images a step, over all processes.
        refresh: called before step 0 and every `refresh_interval` steps; returns the new assignment of every
            training image, (n,). The loop counts how many changed.
        clusters: k, for the sizes that the loop reports after a refresh; 0 where the phase finds it.
        tol: the phase ends when a refresh changes less than this share of the assignments.
        finished: asked after every refresh but the first; the phase ends when it gives a reason.
        restart: called before every epoch but the first, with its number, and with global generators seeded for it.
            It may change the module's parameters by hand, and returns those whose optimiser state is then dropped.
        validates: whether the losses are defined for images outside the training set, so that a held-out share of
            the data can be scored after every epoch. It decides nothing.
    """

    name: str
    module: Objective
    optimiser: OptimiserSettings
    epochs: int
    batch_size: int
    refresh: Callable[[], Int64[Tensor, " n"]] | None = None
    refresh_interval: int = 1
    clusters: int = 0
    tol: float = 0.0
    finished: Callable[[], str | None] | None = None
    restart: Callable[[int], Sequence[nn.Parameter]] | None = None
    cycles: int = 1
    validates: bool = False


Phase = FitPhase | GradientPhase


def epochs_needed(images: int, batch_size: int, epochs: int, min_steps: int) -> int:
    """`epochs`, or as many as reach `min_steps` where the data set is small."""
    steps_per_epoch = max(images // batch_size, 1)
    return max(epochs, -(-min_steps // steps_per_epoch))
