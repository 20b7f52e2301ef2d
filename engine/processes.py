"""Device, precision and processes: one object around Fabric, the only place that knows them."""

from __future__ import annotations

import atexit
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar, cast

import torch
from jaxtyping import Float, Int64, Num, Shaped
from torch import Tensor

from configs.schema import RuntimeSettings
from engine.errors import UsageError
from engine.training_images import TrainingImages
from models.batched import map_batches

if TYPE_CHECKING:
    from lightning_fabric import Fabric

T = TypeVar("T")


class Processes:
    """The processes of a run and what they share; `methods.base.Compute` for phases."""

    def __init__(self, fabric: Fabric) -> None:
        self.fabric = fabric
        self._alone = False
        self._kept: TrainingImages | None = None

    @property
    def is_first(self) -> bool:
        """Whether this is the one process that writes files and speaks to the user."""
        return self.fabric.global_rank == 0

    @property
    def count(self) -> int:
        return int(self.fabric.world_size)

    @property
    def device(self) -> torch.device:
        device: torch.device = self.fabric.device
        return device

    def compute_in(self, precision: str, tf32: bool) -> None:
        """Let networks compute in this precision from here on, in place of what `launch` was told."""
        from lightning_fabric.plugins.precision import MixedPrecision, Precision

        use_tf32(tf32)
        mixed = precision == "bf16-mixed"
        self.fabric.strategy.precision = MixedPrecision("bf16-mixed", self.device.type) if mixed else Precision()

    def keep(self, images: Num[Tensor, "n c h w"]) -> TrainingImages:
        """Have the training images on the device from here on, where they fit, for steps and for `map`."""
        if self._kept is None or self._kept.images is not images:
            self._kept = TrainingImages(images, self.device)
        return self._kept

    def first_then_all(self, function: Callable[[], T]) -> T:
        """`function()` on every process, on the first one before the others: for downloads. Its errors reach all."""
        held: list[T] = []
        self.once(lambda: held.append(function()))
        return held[0] if held else function()

    def rows(self, n: int) -> slice:
        """This process's rows of n: consecutive, in the order of the processes."""
        chunk = -(-n // self.count)
        start = min(self.fabric.global_rank * chunk, n)
        return slice(start, min(start + chunk, n))

    def map(self, function: Callable[[Tensor], Tensor], images: Num[Tensor, "n c h w"]) -> Float[Tensor, "n ..."]:
        """`function(batch)` over all images without gradients, shared among the processes, on the CPU."""
        self._together("map")
        # A process without rows still takes part with one, so that it knows the result's shape.
        own = self.shard(self._nearest(images))
        result = map_batches(function, own if len(own) else images[:1], self.device)
        return self.gather(result[: len(own)], len(images))

    def pick(self, images: Num[Tensor, "n c h w"], indices: Int64[Tensor, " b"]) -> Num[Tensor, "b c h w"]:
        """Some of the training images, on the device of `indices`."""
        near = self._nearest(images)
        return near[indices.to(near.device)].to(indices.device)

    def place(self, points: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
        """`points` on the device, for an estimator that computes where they are."""
        return points.to(self.device)

    def _nearest(self, images: Num[Tensor, "n c h w"]) -> Num[Tensor, "n c h w"]:
        """`images` on the device, where they are the training images and live there."""
        kept = self._kept
        return images if kept is None or kept.images is not images or kept.resident is None else kept.resident

    def shard(self, rows: Tensor) -> Tensor:
        """This process's share of `rows`, (n, ...), as `gather` puts it back."""
        return rows[self.rows(len(rows))]

    def gather(self, shard: Tensor, rows: int) -> Tensor:
        """All processes' shards in order, (rows, ...), on the CPU."""
        self._together("gather")
        if self.count == 1:
            return shard
        chunk = -(-rows // self.count)
        padded = shard.new_zeros(chunk, *shard.shape[1:])
        padded[: len(shard)] = shard
        gathered = cast(Tensor, self.fabric.all_gather(padded.to(self.device)))  # (processes, chunk, ...)
        return gathered.flatten(0, 1)[:rows].cpu()

    def total(self, value: Tensor) -> Tensor:
        """The sum of `value` over all processes."""
        self._together("total")
        if self.count == 1:
            return value
        own = value.detach().to(self.device, copy=True)  # Fabric sums in place
        total = cast(Tensor, self.fabric.all_reduce(own, reduce_op="sum"))
        return total.to(value.device)

    def together(self, own: Shaped[Tensor, "b ..."]) -> Shaped[Tensor, "n ..."]:
        """The rows of a batch that all processes have, of which gradients flow through our own."""
        self._together("together")
        if self.count == 1:
            return own
        everyone = self.gather(own.detach(), len(own) * self.count).to(own.device)
        start = self.fabric.global_rank * len(own)  # processes have equal shares of a batch
        return torch.cat([everyone[:start], own, everyone[start + len(own) :]])

    def pooled(self, mean: Float[Tensor, ...]) -> Float[Tensor, ...]:
        """The mean over all processes of each one's `mean` over its own rows of a batch; see `Compute`."""
        self._together("pooled")
        return mean if self.count == 1 else cast(Tensor, _Pooled.apply(mean, self))

    def once(self, function: Callable[[], T]) -> T:
        """`function()` computed by the first process and handed to all; what it raises, all raise.

        Raises:
            RuntimeError: when `function` calls for all processes. It does so with one process too, so that no test
                passes on one and no run stands still on two.
        """
        self._together("once")
        if self.count == 1:
            with self._by_itself():
                return function()
        outcome: tuple[T | None, Exception | None] = (None, None)
        if self.is_first:
            try:
                with self._by_itself():
                    outcome = (function(), None)
            except Exception as error:  # whatever it is: the others wait for an answer
                outcome = (None, error)
        value, problem = self.fabric.broadcast(outcome, src=0)
        if problem is not None:
            raise problem
        return cast(T, value)

    @contextmanager
    def _by_itself(self) -> Iterator[None]:
        """Within the block only one process computes."""
        self._alone = True
        try:
            yield
        finally:
            self._alone = False

    def _together(self, what: str) -> None:
        """Whether all processes are here to do `what`."""
        if self._alone:
            raise RuntimeError(
                f"{what}() within once(): it needs all processes, and within once() one is alone, for which the others "
                "wait. Call it before, and use its result within."
            )


class _Pooled(torch.autograd.Function):
    """The mean over processes. What every process's loss says of it comes back to all."""

    @staticmethod
    def forward(ctx: Any, mean: Tensor, processes: Processes) -> Tensor:
        ctx.processes = processes
        return processes.total(mean) / processes.count

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return ctx.processes.total(gradient) / ctx.processes.count, None


def launch(settings: RuntimeSettings) -> Processes:
    """Start the processes that `settings` ask for, on their devices; under torchrun, join those it started.

    Raises:
        UsageError: when this machine has no such device, or not so many, or torchrun started another number.
    """
    # Here and not above: this import takes seconds, and neither a wrong setting nor eval.py should wait for it.
    from lightning_fabric import Fabric
    from lightning_fabric.utilities.exceptions import MisconfigurationException

    _check_device(settings.device)
    use_tf32(settings.tf32)
    wanted = settings.devices * settings.nodes
    started = int(os.environ.get("WORLD_SIZE", wanted))
    if started != wanted:
        raise UsageError(
            f"{started} processes were started, but runtime.devices {settings.devices} times runtime.nodes "
            f"{settings.nodes} makes {wanted}: give the numbers that torchrun was given."
        )
    try:
        fabric = Fabric(
            accelerator=settings.device,
            devices=settings.devices,
            num_nodes=settings.nodes,
            strategy="ddp" if wanted > 1 else "auto",
            precision="32-true" if settings.precision == "auto" else settings.precision,  # until it is found
        )
        fabric.launch()
        if wanted > 1:
            atexit.register(_leave)
    except (MisconfigurationException, RuntimeError, ValueError, TypeError) as error:
        raise UsageError(
            f"cannot start {wanted} process(es) on {settings.device} with precision {settings.precision}: {error}"
        ) from error
    return Processes(fabric)


def use_tf32(wanted: bool) -> None:
    """Say how CUDA makes products of float32 numbers: in TF32, or in float32 throughout."""
    torch.backends.cuda.matmul.allow_tf32 = wanted
    torch.backends.cudnn.allow_tf32 = wanted


def pick_device(name: str) -> torch.device:
    """The device by that name, "auto" for the fastest of this machine, for computing in float32 throughout.

    Raises:
        UsageError: when this machine has none.
    """
    if name not in ("auto", "cpu", "cuda", "mps"):
        raise UsageError(f"there is no device {name!r}: devices are auto, cpu, cuda and mps.")
    _check_device(name)
    use_tf32(False)
    if name != "auto":
        return torch.device(name)
    return torch.device("cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu")


def process_number() -> int:
    """The rank of this process as its launcher told it; 0 for the only one, before and after `launch`."""
    return int(os.environ.get("RANK") or os.environ.get("LOCAL_RANK") or 0)


def _leave() -> None:
    """End what joins the processes, whose threads must not live until the interpreter is gone: it would abort."""
    # Fabric does so for NCCL alone.
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def _check_device(device: str) -> None:
    available: dict[str, Callable[[], bool]] = {
        "cuda": torch.cuda.is_available,
        "mps": torch.backends.mps.is_available,
    }
    if device in available and not available[device]():
        raise UsageError(f"device {device}: torch finds none on this machine. Take the device auto or cpu.")
