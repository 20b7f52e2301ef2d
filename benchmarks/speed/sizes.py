"""Time and memory of every phase by the number of images: `python -m benchmarks.speed.sizes`.

The images are Fashion-MNIST's training set, over and over, shifted by up to two pixels to each side (by a seed). They
lie in a .npy file, which takes 784 bytes an image in a temporary folder. Every size is one run of train.py, of one
epoch in each phase. Memory is what the process itself holds: pages of the file that the system may drop at any time
are not counted.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np
import torch
import typer

from data.sources import load
from engine.checkpoint import read_checkpoint

ROOT = Path(__file__).resolve().parents[2]
SHIFT = 2
ONE_EPOCH = (
    "pretrain.epochs=1",
    "pretrain.min_steps=0",
    "cluster.max_epochs=1",
    "cluster.min_steps=0",
    "cluster.tol=0",
)


class Run(NamedTuple):
    """What one run took: seconds by phase, of the whole command, and the most memory of its own in GB."""

    seconds: dict[str, float]
    command: float
    memory: float


def main(
    sizes: Annotated[str, typer.Option(help="Numbers of images.")] = "60000,200000,600000,1000000",
    method: Annotated[str, typer.Option(help="What is trained.")] = "dec",
    set_: Annotated[list[str] | None, typer.Option("--set", help="Settings besides one epoch a phase.")] = None,
    folder: Annotated[Path | None, typer.Option(help="Where the images are made; else a temporary folder.")] = None,
) -> None:
    """Print a Markdown table, a line a size; in brackets the time per image beside that of the first size."""
    numbers = [int(size) for size in sizes.split(",")]
    settings = [*(ONE_EPOCH if set_ is None else ()), *(set_ or [])]
    with tempfile.TemporaryDirectory(dir=folder) as made:
        runs = [(n, run(write_images(Path(made) / f"{n}.npy", n), method, settings, Path(made))) for n in numbers]
    print(f"{method}, {torch.get_num_threads()} threads, {' '.join(settings)}\n")
    phases = list(runs[0][1].seconds)
    print(f"| images | {' | '.join(f'{name} s' for name in phases)} | command s | memory GB |")
    print("|--:" * (len(phases) + 3) + "|")
    first_n, first = runs[0]
    for n, done in runs:
        cells = [
            f"{done.seconds[name]:.1f} ({done.seconds[name] / n / (first.seconds[name] / first_n):.2f})"
            for name in phases
        ]
        print(f"| {n:,} | {' | '.join(cells)} | {done.command:.1f} | {done.memory:.2f} |")


def write_images(path: Path, n: int) -> Path:
    """n images, (n, 28, 28) uint8, a block at a time."""
    source = load("fashion-mnist").images[:, 0].numpy()
    target = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=(n, 28, 28))
    random = np.random.default_rng(0)
    for start in range(0, n, len(source)):
        rows = source[: min(len(source), n - start)]
        down, right = random.integers(-SHIFT, SHIFT + 1, 2) if start else (0, 0)
        target[start : start + len(rows)] = np.roll(rows, (int(down), int(right)), axis=(1, 2))
    target.flush()
    return path


def run(images: Path, method: str, settings: Sequence[str], folder: Path) -> Run:
    """One run of train.py, watched."""
    out = folder / f"run-{images.stem}"
    assignments = [part for setting in settings for part in ("--set", setting)]
    command = [sys.executable, "train.py", "--method", method, "--data", str(images), "--clusters", "10", "--no-share",
               "--out", str(out), *assignments]  # fmt: skip
    begin, most = time.perf_counter(), 0.0
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    while process.poll() is None:
        most = max(most, own_memory(process.pid))
        time.sleep(0.2)
    assert process.stderr is not None
    if process.returncode:
        raise SystemExit(process.stderr.read())
    return Run(read_checkpoint(out / "checkpoint.pt").loop.seconds, time.perf_counter() - begin, most)


def own_memory(process: int) -> float:
    """GB that a process holds and that are no file's, on Linux; 0 once it has ended."""
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return sum(int(line.split()[1]) for line in lines if line.startswith(("RssAnon", "RssShmem"))) / 1e6


if __name__ == "__main__":
    typer.run(main)
