"""The exact silhouette by blocks beside scikit-learn's: `python -m benchmarks.speed.silhouette`.

Each way and each space runs in a process of its own, so that its peak memory is its own.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from typing import Annotated

import torch
import typer
from sklearn.metrics import silhouette_score
from torch import Tensor

from configs.schema import KMeansSettings
from data.sources import load
from engine.memory import peak_memory
from estimators.kmeans import kmeans
from estimators.pca import PCA
from estimators.settings import PCASettings
from evaluation.internal import silhouette
from models.normalise import unit_pixels


def theirs(x: Tensor, labels: Tensor) -> float:
    """scikit-learn's, with its default chunks of 1 GiB."""
    return float(silhouette_score(x.numpy(), labels.numpy()))


WAYS: dict[str, Callable[[Tensor, Tensor], float | None]] = {"ours": silhouette, "scikit-learn": theirs}


def main(
    data: Annotated[str, typer.Option(help="A data set's name or path.")] = "fashion-mnist",
    way: Annotated[str | None, typer.Option(help="Only this one, in this process.")] = None,
    dimensions: Annotated[int, typer.Option(help="With --way: 0 for pixels, else of PCA.")] = 0,
) -> None:
    """Seconds, value and peak memory of both ways, on pixels and on ten principal components."""
    if way is not None:
        print(measure(data, way, dimensions), flush=True)
        return
    print(f"{torch.get_num_threads()} threads\n")
    print("| space | way | seconds | silhouette | peak of the process, MiB |")
    print("|---|---|--:|--:|--:|")
    for size in (0, 10):
        for name in WAYS:
            command = [sys.executable, "-m", "benchmarks.speed.silhouette", "--data", data, "--way", name]
            print(subprocess.check_output([*command, "--dimensions", str(size)], text=True).strip(), flush=True)


def measure(data: str, way: str, dimensions: int) -> str:
    """A line of the table."""
    x = unit_pixels(load(data).images).flatten(1)
    if dimensions:
        pca = PCA(PCASettings(components=dimensions))
        pca.fit(x, 0)
        x = pca.transform(x)
    labels = kmeans(x, 10, KMeansSettings(redos=1, iterations=10), 0).labels
    begin = time.perf_counter()
    value = WAYS[way](x, labels)
    seconds = time.perf_counter() - begin
    peak = peak_memory(torch.device("cpu"))
    return f"| {len(x):,} × {x.shape[1]} | {way} | {seconds:.1f} | {value:.4f} | {peak:.0f} |"


if __name__ == "__main__":
    typer.run(main)
