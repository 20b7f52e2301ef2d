"""Neighbours and silhouette of up to 600,000 images: `python -m benchmarks.speed.many_images`.

The images are Fashion-MNIST's 60,000, mirrored, and both moved by a pixel in four directions: ten times as many. They
are points on the principal axes of the first 60,000. Two tables are Markdown on stdout. CPU seconds are those of all
threads together: they hardly change when other programs run beside.
"""

from __future__ import annotations

from typing import Annotated

import torch
import typer
from jaxtyping import Float
from torch import Tensor

from benchmarks.speed.timing import timed
from configs.schema import KMeansSettings
from data.sources import load
from estimators import neighbours
from estimators.kmeans import kmeans
from estimators.neighbours import neighbour_graph
from estimators.pca import PCA
from estimators.settings import PCASettings
from evaluation.internal import silhouette, silhouette_estimate
from evaluation.sampling import SAMPLE
from models.normalise import unit_pixels

MOVES = ((0, 0), (0, 1), (0, -1), (1, 0), (-1, 0))
SEARCHES = ((60_000, False), (200_000, False), (200_000, True), (600_000, True))
"""How many points, and whether the search is in cells."""
SAMPLES = 5


def main(
    data: Annotated[str, typer.Option(help="A data set's name or path.")] = "fashion-mnist",
    axes: Annotated[list[int] | None, typer.Option(help="Principal axes; 10 and 64 where none are given.")] = None,
    search: Annotated[bool, typer.Option(help="Time the search for neighbours.")] = True,
    scores: Annotated[bool, typer.Option(help="Compare estimated silhouettes with exact ones.")] = True,
) -> None:
    """Print both tables."""
    spaces = [grown(data, count) for count in axes or (10, 64)]
    print(f"{torch.get_num_threads()} threads")
    if search:
        print("\n| points | 20 neighbours | seconds | CPU seconds | recall |\n|---|---|--:|--:|--:|")
        for points in spaces:
            for n, in_cells in SEARCHES:
                print(searched(points[:n], in_cells), flush=True)
    if scores:
        print(
            "\n| points | exact | seconds | CPU seconds | estimate is off by | standard error | seconds | CPU seconds |"
        )
        print("|---|--:|--:|--:|--:|--:|--:|--:|")
        for points in spaces:
            for n in (60_000, 600_000):
                print(estimated(points[:n]), flush=True)


def grown(data: str, axes: int) -> Float[Tensor, "n d"]:
    """The images and their moved and mirrored copies on the first principal axes of the images themselves."""
    images = load(data).images
    pca = PCA(PCASettings(components=axes))
    pca.fit(unit_pixels(images).flatten(1), 0)
    copies = (torch.roll(side, move, (2, 3)) for side in (images, images.flip(3)) for move in MOVES)
    return torch.cat([pca.transform(unit_pixels(copy).flatten(1)) for copy in copies])


def searched(points: Float[Tensor, "n d"], in_cells: bool) -> str:
    """A line of the first table."""
    neighbours.EXACT_POINTS = 0 if in_cells else len(points)
    spent, graph = timed(lambda: neighbour_graph(points, 21))
    kind = "in cells" if in_cells else "among all points"
    return f"| {shape(points)} | {kind} | {spent} | {graph.recall:.4f} |"


def estimated(points: Float[Tensor, "n d"]) -> str:
    """A line of the second table, of ten clusters by KMeans: the largest error of five samples. Exact only for few."""
    labels = kmeans(points[:60_000], 10, KMeansSettings(redos=1, iterations=10), 0)
    clusters = torch.cat([torch.cdist(part, labels.centroids).argmin(dim=1) for part in torch.split(points, 10_000)])
    exact, known = None, " | | | |"
    if len(points) <= 60_000:
        spent, exact = timed(lambda: silhouette(points, clusters))
        known = f" {exact:.4f} | {spent} |"
    off, errors = [], []
    for seed in range(SAMPLES if exact is not None else 1):
        sample = torch.randperm(len(points), generator=torch.Generator().manual_seed(seed))[:SAMPLE].sort().values
        spent, found = timed(lambda sample=sample: silhouette_estimate(points, clusters, sample))  # type: ignore[misc]
        assert found is not None
        errors.append(found.error)
        off.append(0.0 if exact is None else abs(found.value - exact))
    known += "" if exact is None else f" {max(off):.4f} |"
    return f"| {shape(points)} |{known} {max(errors):.4f} | {spent} |"


def shape(points: Float[Tensor, "n d"]) -> str:
    return f"{len(points):,} × {points.shape[1]}"


if __name__ == "__main__":
    typer.run(main)
