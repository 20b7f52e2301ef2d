"""What a sample costs KMeans: `python -m benchmarks.studies.kmeans_sample`.

The points are images and shifted copies of them on their leading principal axes, 600,000 in all. The centroids are
found on all points or on a sample, with some last iterations over all points. Inertia is that of all points.
"""

from __future__ import annotations

from itertools import product
from typing import Annotated

import torch
import typer
from jaxtyping import Float, UInt8
from torch import Tensor

from configs.schema import KMeansSettings
from data.sources import load
from estimators import kmeans as estimator
from estimators.kmeans import SAMPLE, inertia, kmeans
from estimators.pca import PCA
from estimators.settings import PCASettings
from estimators.transductive import draw
from models.normalise import unit_pixels

SHIFTS = [(0, 0), *((y, x) for y, x in product((-2, 0, 2), repeat=2) if (y, x) != (0, 0)), (1, 1)]
"""Pixels down and right: as many copies of every image."""


def shifted_copies(images: UInt8[Tensor, "n c h w"], dimensions: int) -> Float[Tensor, "m d"]:
    """Ten copies of every image, shifted, on the principal axes of the images."""
    pca = PCA(PCASettings(components=dimensions))
    pca.fit(unit_pixels(images).flatten(1), seed=0)
    moved = (torch.roll(images, shift, dims=(2, 3)) for shift in SHIFTS)
    return torch.cat([pca.transform(unit_pixels(copy).flatten(1)) for copy in moved])


def main(
    data: Annotated[str, typer.Option(help="A data set's name or path.")] = "fashion-mnist",
    dimensions: Annotated[list[int], typer.Option(help="Principal axes.")] = [10, 50],  # noqa: B006
    clusters: Annotated[int, typer.Option(help="k.")] = 10,
    redos: Annotated[int, typer.Option(help="Starts.")] = 10,
    repeats: Annotated[int, typer.Option(help="Seeds 0, 1, …")] = 3,
) -> None:
    """The loss of inertia against a fit on all points, a line a seed, as a Markdown table."""
    images, settings = load(data).images, KMeansSettings(redos=redos)
    lasts = (0, 1, 2, 5)
    print(f"{len(SHIFTS) * len(images):,} points, a sample of {SAMPLE:,}, k = {clusters}, {redos} starts, ", end="")
    print(f"{torch.get_num_threads()} threads\n")
    print("| dimensions | seed | inertia of all |" + "".join(f" loss, {last} last |" for last in lasts))
    print("|--:|--:|--:|" + "--:|" * len(lasts))
    for d in dimensions:
        points = shifted_copies(images, d)
        estimator.SAMPLE = len(points)  # nothing below draws one but this script
        for seed in range(repeats):
            whole = kmeans(points, clusters, settings, seed)
            first = kmeans(points[draw(len(points), SAMPLE, seed)], clusters, settings, seed).centroids
            found = [inertia(points, first)]
            for last in lasts[1:]:
                more = settings.model_copy(update={"iterations": last})
                found.append(kmeans(points, clusters, more, seed, first).inertia)
            losses = "".join(f" {value / whole.inertia - 1:+.4%} |" for value in found)
            print(f"| {d} | {seed} | {whole.inertia:,.0f} |{losses}", flush=True)


if __name__ == "__main__":
    typer.run(main)
