"""KMeans on raw pixels beside scikit-learn's: `python -m benchmarks.speed.kmeans`.

Both take k-means++ and ten starts over all points, in turns, on the same threads; the inertia of both is computed by
the same float64 sum.
"""

from __future__ import annotations

import time
from typing import Annotated

import torch
import typer
from sklearn.cluster import KMeans

from configs.schema import KMeansSettings
from data.sources import load
from estimators.kmeans import kmeans, nearest_centroid
from models.normalise import unit_pixels


def main(
    data: Annotated[str, typer.Option(help="A data set's name or path.")] = "fashion-mnist",
    redos: Annotated[int, typer.Option(help="Starts.")] = 10,
    repeats: Annotated[int, typer.Option(help="Times that each is run, with seeds 0, 1, …")] = 3,
) -> None:
    """Seconds and inertia of both, a line a repeat, as a Markdown table."""
    x = unit_pixels(load(data).images).flatten(1)
    print(f"{len(x):,} × {x.shape[1]}, {redos} starts, {torch.get_num_threads()} threads\n")
    print("| seed | scikit-learn s | ours s | times | scikit-learn inertia | ours inertia |")
    print("|--:|--:|--:|--:|--:|--:|")
    for seed in range(repeats):
        begin = time.perf_counter()
        centres = KMeans(10, n_init=redos, random_state=seed).fit(x.numpy()).cluster_centers_
        theirs = time.perf_counter() - begin
        _, squared = nearest_centroid(x, torch.from_numpy(centres))
        begin = time.perf_counter()
        fit = kmeans(x, 10, KMeansSettings(redos=redos), seed)
        ours = time.perf_counter() - begin
        inertia = float(squared.sum(dtype=torch.float64))
        print(f"| {seed} | {theirs:.1f} | {ours:.1f} | {theirs / ours:.2f} | {inertia:,.0f} | {fit.inertia:,.0f} |")


if __name__ == "__main__":
    typer.run(main)
