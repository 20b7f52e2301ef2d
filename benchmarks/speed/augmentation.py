"""Our augmentation beside kornia's on one batch: images/s with crop, flip, rotation, shift, brightness, contrast.

    pip install kornia
    python -m benchmarks.speed.augmentation

The two take turns, so that the machine's noise falls on both; the medians and their ratio are printed.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import torch
import typer

from configs.schema import AugmentationSettings
from data.augmentation import Augmentation
from engine.randomness import BatchNoise

BATCH, ROUNDS = 256, 30
SETTINGS = AugmentationSettings(shift=0.1, rotation=15, crop=0.5, flip=0.5, brightness=0.4, contrast=0.4)


def main() -> None:
    """Time both and print a Markdown table."""
    import kornia.augmentation as kornia

    s = SETTINGS
    pixels = torch.rand(BATCH, 1, 28, 28)
    theirs = torch.nn.Sequential(
        kornia.RandomResizedCrop((28, 28), scale=(1 - s.crop, 1.0), ratio=(1.0, 1.0)),
        kornia.RandomHorizontalFlip(p=s.flip),
        kornia.RandomAffine(degrees=s.rotation, translate=(s.shift, s.shift), p=1.0),
        kornia.ColorJiggle(brightness=s.brightness, contrast=s.contrast, p=1.0),
    )
    grey_as_colour = pixels.expand(BATCH, 3, 28, 28)  # its colour changes take three channels
    ours = Augmentation(s)
    noise = BatchNoise(0, BATCH, slice(0, BATCH), torch.device("cpu"))
    ways: dict[str, Callable[[], object]] = {
        "ours, one affine map": lambda: ours(pixels, noise),
        "kornia, step by step": lambda: theirs(grey_as_colour),
    }
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(ROUNDS):
        for name, way in ways.items():
            begin = time.perf_counter()
            way()
            times[name].append(time.perf_counter() - begin)
    print(f"batch {BATCH} of 1×28×28, {torch.get_num_threads()} threads, median of {ROUNDS}\n")
    print("| augmentation | ms a batch | images/s |")
    print("|---|--:|--:|")
    for name, seconds in times.items():
        median = statistics.median(seconds)
        print(f"| {name} | {1000 * median:.1f} | {BATCH / median:,.0f} |")


if __name__ == "__main__":
    typer.run(main)
