"""How near a training step comes to what the machine can multiply, and where the rest goes.

    python -m benchmarks.speed.step_profile

The pretraining step of two networks at batch 256: the dense 500-500-2000-10, and the convolutional one of
configs/dec.yaml, the latter also with its weights stored in the plain order instead of channels-last, and both in
bf16-mixed. Seconds are those of train.py's loop, TensorBoard's file included; beside them stands a large matrix product
of the same precision. All take turns in one run, on the CPU, and the Markdown tables on stdout show medians. With
--no-keep freed memory goes back to the system, by the allocator's default. Floating-point operations are counted as
torch runs them (torch.utils.flop_counter): those of products and convolutions, forward and backward.
"""

from __future__ import annotations

import statistics
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, NamedTuple

import torch
import typer
from jaxtyping import Int64, UInt8
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from configs.schema import RunConfig
from data.image_set import ImageSet
from data.sources import load
from engine.fit import fit
from engine.loop import SCALARS_EVERY
from engine.memory import keep_freed_memory
from engine.optimisers import build_optimiser, learning_rate, set_learning_rate
from engine.processes import launch
from engine.randomness import BatchNoise, derive_seed, epoch_order, seed_all
from methods.base import Method
from methods.dec import DEC, DECConfig
from methods.resolve import resolve_config
from models.autoencoder import ImageShape
from parts.phases import Batch, Compute, GradientPhase, Phase
from parts.pretraining import ReconstructionObjective
from report.tensorboard.page import TensorBoardObserver

METHOD = "dec"
ONE_EPOCH = ("pretrain.epochs=1", "pretrain.min_steps=0")
DENSE = "model={name: dense, latent: 10, hidden: [500, 500, 2000]}"
MIXED = "runtime.precision=bf16-mixed"

NETWORKS: dict[str, tuple[Sequence[str], torch.memory_format]] = {
    "dense 500-500-2000-10": ((DENSE,), torch.channels_last),
    "dense, bf16-mixed": ((DENSE, MIXED), torch.channels_last),
    "conv of dec.yaml": ((), torch.channels_last),
    "conv, plain order": ((), torch.contiguous_format),
    "conv, bf16-mixed": ((MIXED,), torch.channels_last),
}
"""By name: what --set changes in configs/dec.yaml, and the order of weights that have four dimensions."""

WARM_UP = 5
PARTS_STEPS = 40


def main(
    data: Annotated[str, typer.Option(help="A data set's name or path.")] = "fashion-mnist",
    images: Annotated[int, typer.Option(help="Use the first so many; 0: all. A turn is one epoch of them.")] = 0,
    rounds: Annotated[int, typer.Option(help="Turns of each.")] = 3,
    side: Annotated[int, typer.Option(help="Side of the large matrices.")] = 4096,
    seed: int = 0,
    keep: Annotated[bool, typer.Option(help="Use freed memory again, as train.py does.")] = True,
) -> None:
    """Time all in turns, and print both tables."""
    if keep:
        keep_freed_memory()
    train = load(data)
    train = train.subset(torch.arange(images or len(train)))
    cases: dict[str, Case] = {}
    for name, (settings, order) in NETWORKS.items():
        config = resolve_config(METHOD, None, [*settings, *ONE_EPOCH], {"runtime.device": "cpu", "seed": seed})
        cases[name] = Case(config, train, order)
    products: dict[torch.dtype, list[float]] = {torch.float32: [], torch.bfloat16: []}
    for turn in range(rounds):
        typer.echo(f"turn {turn + 1} of {rounds}", err=True)
        for dtype, seconds in products.items():
            seconds += square_products(side, dtype)
        for case in cases.values():
            case.take_turn()
    limits = {dtype: 2 * side**3 / statistics.median(seconds) / 1e9 for dtype, seconds in products.items()}
    print(
        f"{data}, {len(train):,} images, {torch.get_num_threads()} threads, torch {torch.__version__}, {rounds} turns."
    )
    shown = ", ".join(f"{limit:.1f} GFLOP/s in {str(dtype).removeprefix('torch.')}" for dtype, limit in limits.items())
    print(f"A product of two {side} × {side} matrices: {shown}.\n")
    print_steps(cases, limits)
    print()
    print_parts(cases, limits)


class Flops(NamedTuple):
    """Floating-point operations of one step."""

    forward: int
    backward: int


class Pretraining(DEC):
    """DEC that ends after its pretraining."""

    def phases(self, images: UInt8[Tensor, "n c h w"], compute: Compute) -> Sequence[Phase]:
        return super().phases(images, compute)[:1]


class Case:
    """The pretraining of one network, and what was measured of it.

    Args:
        config: of the run.
        images: the training images.
        order: of weights that have four dimensions.

    Attributes:
        dtype: in which it multiplies.
        flops: of one step.
        steps: seconds of a step in the loop.
        parts: seconds of the parts of a step, by name.
        products: seconds of the matrix products alone that a step makes; empty where layers are convolutions.
    """

    def __init__(self, config: RunConfig, images: ImageSet, order: torch.memory_format) -> None:
        seed_all(config.seed)
        self.config, self.images = config, images
        self.processes = launch(config.runtime)
        self.dtype = torch.bfloat16 if config.runtime.precision == "bf16-mixed" else torch.float32
        if not isinstance(config, DECConfig):
            raise TypeError(f"{config.method} is not configured as DEC")
        self.method = Pretraining(config, ImageShape(*images.images.shape[1:]))
        (phase,) = self.method.phases(images.images, self.processes)
        if not isinstance(phase, GradientPhase) or not isinstance(phase.module, ReconstructionObjective):
            raise TypeError(f"the first phase of {config.method} is {phase.name}, no pretraining of an autoencoder")
        self.phase, self.objective = phase, phase.module
        self.objective.autoencoder.to(memory_format=order)
        self.epoch_steps = len(images) // phase.batch_size
        if self.epoch_steps <= max(3 * SCALARS_EVERY, WARM_UP):
            raise typer.BadParameter(f"a turn needs more than {3 * SCALARS_EVERY} batches of {phase.batch_size} images")
        self.flops = self._count()
        self.steps: list[float] = []
        self.parts: dict[str, list[float]] = defaultdict(list)
        self.products: list[float] = []

    def take_turn(self) -> None:
        """One epoch in the loop, then single steps in parts, then their products alone."""
        self.steps += self._loop_steps()
        for part, seconds in self._parts().items():
            self.parts[part] += seconds
        if not any(isinstance(module, nn.Conv2d) for module in self.objective.modules()):
            self.products += layer_products(self.objective, self.phase.batch_size, self.dtype)

    def _loop_steps(self) -> list[float]:
        """Seconds a step, each the mean over the steps between two points of a loss curve."""
        clock = Clock()
        with TemporaryDirectory() as folder:
            board = TensorBoardObserver(Path(folder), self.images, self.config.clusters)
            fit(
                self.config,
                self.images,
                method=self.method,
                processes=self.processes,
                watch=lambda config: (board, clock),
            )
        return [(after - before) / SCALARS_EVERY for before, after in pairwise(clock.times)][1:]

    def _parts(self) -> Mapping[str, list[float]]:
        """Seconds of what the loop does in a step, done here by hand."""
        settings, size, cpu = self.phase.optimiser, self.phase.batch_size, torch.device("cpu")
        optimiser = build_optimiser(self.objective, settings)
        order = self._order()
        watch = Stopwatch()
        self.objective.train()
        for step in range(min(PARTS_STEPS, self.epoch_steps)):
            watch.start()
            set_learning_rate(optimiser, learning_rate(settings, step, self.epoch_steps, self.phase.epochs))
            noise = BatchNoise(derive_seed(self.config.seed, "noise", step), size, slice(0, size), cpu)
            watch.lap("learning rate and noise's seed")
            index = order[step * size : (step + 1) * size]
            batch = Batch(self.images.images[index], index, noise)
            watch.lap("indexing")
            self.objective.normalise(batch.images)
            watch.lap("normalising")
            with self.processes.fabric.autocast():
                losses = self.objective(batch)
            watch.lap("forward")
            torch.stack([value.detach() for value in losses.values()]).double().tolist()
            watch.lap("losses as numbers")
            losses["loss"].backward()
            watch.lap("backward")
            optimiser.step()
            optimiser.zero_grad()
            watch.lap("optimiser")
        laps = watch.laps
        # The objective normalises once more by itself.
        laps["forward"] = [f - n for f, n in zip(laps["forward"], laps["normalising"], strict=True)]
        return {part: seconds[WARM_UP:] for part, seconds in laps.items()}

    def _count(self) -> Flops:
        index = self._order()[: self.phase.batch_size]
        noise = BatchNoise(0, self.phase.batch_size, slice(0, self.phase.batch_size), torch.device("cpu"))
        self.objective.train()
        with FlopCounterMode(display=False) as forward:
            loss = self.objective(Batch(self.images.images[index], index, noise))["loss"]
        with FlopCounterMode(display=False) as backward:
            loss.backward()
        self.objective.zero_grad()
        return Flops(forward.get_total_flops(), backward.get_total_flops())

    def _order(self) -> Int64[Tensor, " n"]:
        return epoch_order(len(self.images), self.config.seed, self.phase.name, 0)


class Clock:
    """An observer that notes when the loop reported a step."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        self.times.append(time.perf_counter())

    def refreshed(self, phase: str, step: int, assignments: Int64[Tensor, " n"], clusters: int) -> None: ...

    def epoch_finished(self, phase: str, epoch: int, step: int, method: Method) -> None: ...

    def phase_finished(self, phase: str, step: int, method: Method) -> None: ...

    def close(self) -> None: ...


class Stopwatch:
    """Laps by name, in seconds."""

    def __init__(self) -> None:
        self.laps: dict[str, list[float]] = defaultdict(list)

    def start(self) -> None:
        self._since = time.perf_counter()

    def lap(self, name: str) -> None:
        """Book the time since the last lap on `name`."""
        now = time.perf_counter()
        self.laps[name].append(now - self._since)
        self._since = now


def square_products(side: int, dtype: torch.dtype, repeats: int = 3) -> list[float]:
    """Seconds of a product of two square matrices, after one that is not counted."""
    a, b, out = (torch.randn(side, side).to(dtype) for _ in range(3))
    watch = Stopwatch()
    watch.start()
    for _ in range(repeats + 1):
        torch.mm(a, b, out=out)
        watch.lap("product")
    return watch.laps["product"][1:]


def layer_products(network: nn.Module, batch: int, dtype: torch.dtype, repeats: int = 10) -> list[float]:
    """Seconds of the matrix products alone that a step of dense layers makes, on matrices of its shapes.

    Per layer of weight W, input X and output gradient G: X Wᵀ, Gᵀ X and, for all but the first, G W.
    """
    weights = [module.weight.detach().to(dtype) for module in network.modules() if isinstance(module, nn.Linear)]
    inputs = [torch.randn(batch, weight.shape[1]).to(dtype) for weight in weights]
    gradients = [torch.randn(batch, weight.shape[0]).to(dtype) for weight in weights]
    watch = Stopwatch()
    for _ in range(repeats + 1):
        watch.start()
        for position, (w, x, g) in enumerate(zip(weights, inputs, gradients, strict=True)):
            torch.mm(x, w.T)
            torch.mm(g.T, x)
            if position > 0:
                torch.mm(g, w)
        watch.lap("products")
    return watch.laps["products"][1:]


def print_steps(cases: Mapping[str, Case], limits: Mapping[torch.dtype, float]) -> None:
    """What a step costs, and its share of the limit in GFLOP/s of its precision."""
    print("| network | parameters | GFLOP a step | ms a step | images/s | GFLOP/s | share of the large product |")
    print("|---|--:|--:|--:|--:|--:|--:|")
    for name, case in cases.items():
        seconds, flop = statistics.median(case.steps), sum(case.flops) / 1e9
        size = sum(p.numel() for p in case.objective.parameters())
        speed, limit = flop / seconds, limits[case.dtype]
        print(
            f"| {name} | {size:,} | {flop:.2f} | {1000 * seconds:.1f} | {case.phase.batch_size / seconds:,.0f} | "
            f"{speed:.1f} | {speed / limit:.0%} |"
        )
        if case.products:
            alone = statistics.median(case.products)
            print(
                f"| its matrix products alone | | {flop:.2f} | {1000 * alone:.1f} | | {flop / alone:.1f} | "
                f"{flop / alone / limit:.0%} |"
            )


def print_parts(cases: Mapping[str, Case], limits: Mapping[torch.dtype, float]) -> None:
    """Where a step's time goes: ms, and the share of the limit where products are made."""
    print("| part of a step, ms (share of the large product) | " + " | ".join(cases) + " |")
    print("|---|" + "--:|" * len(cases))
    medians = {n: {part: statistics.median(s) for part, s in case.parts.items()} for n, case in cases.items()}
    for part in next(iter(medians.values())):
        cells = []
        for name, case in cases.items():
            seconds = medians[name][part]
            flop = case.flops._asdict().get(part)
            share = f" ({flop / 1e9 / seconds / limits[case.dtype]:.0%})" if flop else ""
            cells.append(f"{1000 * seconds:.2f}{share}")
        print(f"| {part} | " + " | ".join(cells) + " |")
    rest = [statistics.median(case.steps) - sum(medians[name].values()) for name, case in cases.items()]
    print("| the rest of the loop | " + " | ".join(f"{1000 * seconds:.2f}" for seconds in rest) + " |")


if __name__ == "__main__":
    typer.run(main)
