"""What a GPU makes of training: every step beside the least that the card allows, whole commands, and their scores.

    python -m benchmarks.speed.accelerator                   # Fashion-MNIST on the GPU
    python -m benchmarks.speed.accelerator --device cpu --data digits --seeds 1      # that it runs

Markdown on stdout, headed by the card. The limit of a step is that very step, captured in a CUDA graph with its images
on the device, and replayed with nothing around it, in the same process; without a GPU it is launched from Python.
Labels are used for the scores alone.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Annotated, Any, NamedTuple

import torch
import typer
from torch.optim import Adam

from data.image_set import ImageSet
from data.sources import load
from engine.environment import cuda_versions, device_name, git_commit
from engine.fit import fit
from engine.processes import launch, pick_device
from engine.randomness import BatchNoise
from engine.step_graph import CAPTURES
from evaluation.agreement import agreement
from evaluation.contingency import contingency
from methods.registry import METHOD_NAMES, METHODS
from methods.resolve import resolve_config
from parts.phases import Batch, GradientPhase
from system.command import App, leave

ROOT = Path(__file__).resolve().parents[2]
STEPS = (
    ("dec", "pretrain", ()),
    ("dec", "cluster", ("cluster.tol=0",)),
    ("simclr-kmeans", "pretrain", ()),
    ("vade", "cluster", ()),
    ("scan", "cluster", ()),
)
"""Methods, the phase that is timed, and settings that keep it going."""
ARITHMETIC = {
    "float32": (),
    "TF32": ("runtime.tf32=true",),
    "bf16-mixed": ("runtime.precision=bf16-mixed",),
}
COMMANDS = (*(name for name in METHODS if name not in METHOD_NAMES), "simclr-kmeans")
"""Every method that trains a network, once."""
SCORED = ("dec", "idec")

app = App()


@app.command()
def main(
    device: Annotated[str, typer.Option(help="cuda, or cpu to see that it runs.")] = "cuda",
    data: Annotated[str, typer.Option(help="A data set with labels.")] = "fashion-mnist",
    seeds: Annotated[int, typer.Option(help="Of the scores.")] = 3,
    epochs: Annotated[int, typer.Option(help="Of every phase that is timed.")] = 4,
) -> None:
    """Print three tables: steps, commands, scores."""
    chosen = pick_device(device)
    images = load(data, "train")
    if images.labels is None:
        raise leave([f"--data {data} has no labels to score with."])
    cuda = f", CUDA {cuda_versions()}" if chosen.type == "cuda" else ""
    print(f"{device_name(chosen)}, torch {torch.__version__}{cuda}, commit {git_commit()}")
    print(f"{data}, {len(images):,} images\n")
    table(("step", "arithmetic", "seconds an epoch", "limit", "ratio"), steps(images, device, epochs))
    table(("command", "seconds", "of them phases"), commands(data, device))
    table(("method", "seed", "ACC", "NMI", "ARI"), scores(images, device, seeds))


def table(headings: Sequence[str], rows: Any) -> None:
    """Print a Markdown table, each row when it is known."""
    print(f"| {' | '.join(headings)} |\n|{'---|' * len(headings)}")
    for row in rows:
        print(f"| {' | '.join(row)} |", flush=True)
    print()


def steps(images: ImageSet, device: str, epochs: int) -> Any:
    """A row for every phase and arithmetic: ours, the limit, and their ratio."""
    for method, phase, settings in STEPS:
        for arithmetic, more in ARITHMETIC.items():
            timed = time_phase(method, phase, images, (*settings, *more, f"runtime.device={device}"), epochs)
            yield (
                f"{method}, {phase}, batch {timed.batch}",
                arithmetic,
                f"{timed.ours:.3f}",
                f"{timed.limit:.3f}",
                f"{timed.ours / timed.limit:.2f}",
            )


class Timed(NamedTuple):
    """Seconds an epoch."""

    ours: float
    limit: float
    batch: int


def time_phase(method: str, phase: str, images: ImageSet, settings: Sequence[str], epochs: int) -> Timed:
    """Of a run's phase the seconds of an epoch, the first left out, and those of its steps alone."""
    length = "max_epochs" if method in ("dec", "vade") else "epochs"
    short = [f"cluster.{length}={epochs}", "cluster.min_steps=0"] if phase == "cluster" else []
    stage = "representation.simclr." if method == "simclr-kmeans" else ""
    config = resolve_config(
        method, None, [f"{stage}pretrain.epochs={epochs}", f"{stage}pretrain.min_steps=0", *short, *settings], {}
    )
    processes = launch(config.runtime)
    fitted = fit(config, images, processes=processes)
    rows = [row for row in fitted.checkpoint.loop.history if row["phase"] == phase and "images_per_second" in row]
    found = next(p for p in fitted.method.phases(images.images, processes) if p.name == phase)
    assert isinstance(found, GradientPhase)
    per_epoch = len(images) // found.batch_size
    speed = median(row["images_per_second"] for row in rows[1:] or rows)
    ours = per_epoch * found.batch_size / speed
    return Timed(ours, limit(found, processes, images) * per_epoch, found.batch_size)


def limit(phase: GradientPhase, processes: Any, images: ImageSet, replays: int = 200) -> float:
    """Seconds of a step by itself: captured where it can be, and replayed."""
    device = processes.device
    resident = images.images.to(device)
    module = processes.fabric.setup_module(phase.module)
    index = torch.arange(phase.batch_size, device=device) % len(images)
    noise = BatchNoise(0, phase.batch_size, slice(None), device)
    captures = device.type in CAPTURES
    parameters = [parameter for parameter in phase.module.parameters() if parameter.requires_grad]
    optimiser = Adam(parameters, lr=1e-6, fused=device.type in ("cuda", "cpu"), capturable=captures)

    def body() -> torch.Tensor:
        noise.rewind()
        losses: dict[str, torch.Tensor] = module(Batch(resident[index], index, noise))
        optimiser.zero_grad()
        processes.fabric.backward(losses["loss"])
        optimiser.step()
        return losses["loss"].detach()

    module.train()
    for _ in range(5):
        body()
    step: Callable[[], object] = body
    if captures:
        step, _ = CAPTURES[device.type](body)
    synchronise(device)
    begin = time.perf_counter()
    for _ in range(replays if captures else 5):
        step()
    synchronise(device)
    return (time.perf_counter() - begin) / (replays if captures else 5)


def synchronise(device: torch.device) -> None:
    """Wait until the device has done what it was told to do."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def commands(data: str, device: str) -> Any:
    """A row for every method: `train.py` as a user starts it, then `eval.py` of what it wrote."""
    with tempfile.TemporaryDirectory() as folder:
        for method in COMMANDS:
            out = Path(folder) / method
            arguments = [
                "train.py",
                "--method",
                method,
                "--data",
                data,
                "--device",
                device,
                "--out",
                str(out),
                "--no-share",
            ]
            yield f"train.py --method {method}", *run(arguments, out / "checkpoint.pt")
        checkpoint = Path(folder) / COMMANDS[0] / "checkpoint.pt"
        if checkpoint.exists():
            arguments = ["eval.py", str(checkpoint), "--split", "all", "--device", device]
            yield f"eval.py, {COMMANDS[0]}, both splits", *run(arguments, None)


def run(arguments: Sequence[str], checkpoint: Path | None) -> tuple[str, str]:
    """Seconds of a command, and of the phases that it ran. How a command failed goes to stderr."""
    begin = time.perf_counter()
    done = subprocess.run([sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True)
    seconds = time.perf_counter() - begin
    if done.returncode:
        print(f"{' '.join(arguments)} failed:\n{done.stderr[-2000:]}", file=sys.stderr)
        return "failed", "–"
    if checkpoint is None:
        return f"{seconds:.1f}", "–"
    loop = torch.load(checkpoint, weights_only=True)["loop"]
    return f"{seconds:.1f}", f"{sum(loop['seconds'].values()):.1f}"


def scores(images: ImageSet, device: str, seeds: int) -> Any:
    """A row for every method and seed, to stand beside those of the CPU."""
    assert images.labels is not None
    for method in SCORED:
        for seed in range(seeds):
            fitted = fit(resolve_config(method, None, [f"runtime.device={device}", f"seed={seed}"], {}), images)
            found = agreement(contingency(images.labels, fitted.assignments.labels))
            yield method, str(seed), *(f"{found[name]:.3f}" for name in ("acc", "nmi", "ari"))


if __name__ == "__main__":
    app()
