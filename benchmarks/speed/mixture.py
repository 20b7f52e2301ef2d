"""Gaussian mixtures with full covariances on principal components, and what a plain EM in torch would take.

    python -m benchmarks.speed.mixture

The mixture is scikit-learn's. The comparison is of one EM step at the same size, in turns: scikit-learn's, and the
matrix products that no EM can do without, in float64 and in float32. What those take is the least that any could.
"""

from __future__ import annotations

import time
import warnings
from typing import Annotated

import torch
import typer
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture
from torch import Tensor

from data.sources import load
from estimators.pca import PCA
from estimators.settings import PCASettings
from models.normalise import unit_pixels

K = 10


def main(
    data: Annotated[str, typer.Option(help="A data set's name or path.")] = "fashion-mnist",
    steps: Annotated[int, typer.Option(help="EM steps that are timed.")] = 5,
) -> None:
    """Seconds an EM step, as a Markdown table."""
    pixels = unit_pixels(load(data).images).flatten(1)
    print(f"{len(pixels):,} images, k = {K}, {torch.get_num_threads()} threads, mean of {steps} steps\n")
    print("| components | scikit-learn s a step | products alone, float64 | float32 |")
    print("|--:|--:|--:|--:|")
    for share in (0.9, 0.95):
        pca = PCA(PCASettings(variance=share))
        pca.fit(pixels, 0)
        z = pca.transform(pixels).double()
        times = [scikit_learn_step(z, steps), products(z, steps), products(z.float(), steps)]
        print(f"| {z.shape[1]} | " + " | ".join(f"{seconds:.2f}" for seconds in times) + " |", flush=True)


def scikit_learn_step(z: Tensor, steps: int) -> float:
    """Seconds of one EM step, the start taken off."""
    seconds = []
    for count in (1, steps + 1):
        mixture = GaussianMixture(K, max_iter=count, tol=0, init_params="k-means++", random_state=0)
        begin = time.perf_counter()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            mixture.fit(z.numpy())
        seconds.append(time.perf_counter() - begin)
    return (seconds[1] - seconds[0]) / steps


def products(z: Tensor, steps: int) -> float:
    """Seconds of an EM step's two products for every component: z times a d × d matrix, and zᵀ times weighted z."""
    square, weights = torch.eye(z.shape[1], dtype=z.dtype), torch.rand(len(z), 1, dtype=z.dtype)
    begin = time.perf_counter()
    for _ in range(steps * K):
        _ = z @ square
        _ = (z * weights).T @ z
    return (time.perf_counter() - begin) / steps


if __name__ == "__main__":
    typer.run(main)
