"""Time of UMAP: neighbours and layout of this project, on one thread and on all, beside the library's own call.

    python -m benchmarks.speed.umap

All in one run, on raw pixels, after a first fit of a few points that has numba compile what it needs. Recall is the
share of the true neighbours that are found, on 500 random points. Agreement is the share of a point's 20 nearest
neighbours in pixels that are among its 20 nearest in the layout, on 2,000 random points: no labels. The table is
Markdown on stdout.
"""

from __future__ import annotations

from importlib.metadata import version
from typing import Annotated

import torch
import typer
from jaxtyping import Float, Int64
from torch import Tensor

from benchmarks.speed.timing import Spent, timed
from data.sources import load
from estimators.extension import nearest
from estimators.inverse_distance import InverseDistance
from estimators.neighbours import neighbour_graph
from estimators.settings import UMAPSettings
from estimators.umap_layout import lay_out
from system.cache import umap_library


def main(
    data: Annotated[str, typer.Option(help="A data set's name.")] = "fashion-mnist",
    library: Annotated[bool, typer.Option(help="Time the library's own call as well.")] = True,
    seed: int = 0,
) -> None:
    """Fit all, and print the table."""
    points = load(data, "train").images.flatten(1).float().div(255)
    new = load(data, "test").images.flatten(1).float().div(255)
    one, free = (UMAPSettings(neighbours=20, min_dist=0.0, components=10, reproducible=r) for r in (True, False))
    compiling = timed(lambda: [lay_out(points[:50], neighbour_graph(points[:50], 20), s, 0) for s in (one, free)])[
        0
    ].wall
    if library:
        compiling += timed(lambda: library_places(points[:5000]))[0].wall  # fewer need no approximate search
    threads = f"{torch.get_num_threads()} threads"
    print(f"{data}, {len(points):,} × {points.shape[1]}, umap-learn {version('umap-learn')}, {threads}")
    print(f"numba compiled for {compiling:.0f} s before.\n")
    print("| what | seconds | CPU seconds | recall | agreement |")
    print("|---|--:|--:|--:|--:|")
    search, graph = timed(lambda: neighbour_graph(points, 20))
    print(f"| 20 neighbours, {threads} | {search} | {recall(points, graph.indices):.4f} | |", flush=True)
    for settings, title in ((one, "layout, seeded, one thread"), (free, f"layout, unseeded, {threads}")):
        layout, places = timed(lambda settings=settings: lay_out(points, graph, settings, seed))  # type: ignore[misc]
        both = Spent(search.wall + layout.wall, search.cpu + layout.cpu)
        print(f"| {title} | {layout} | | {agreement(graph.indices, places):.3f} |")
        print(f"| neighbours and this layout | {both} | | |", flush=True)
    extension = timed(lambda: InverseDistance(points, places, one.extension).transform(new))[0]
    print(f"| places of {len(new):,} new images | {extension} | | |", flush=True)
    if library:
        whole, places = timed(lambda: library_places(points))
        print(f"| the library's own call, {threads} | {whole} | | {agreement(graph.indices, places):.3f} |")


def library_places(points: Float[Tensor, "n d"]) -> Float[Tensor, "n e"]:
    """umap-learn by itself: its own approximate neighbours, no seed, all threads."""
    fitted = umap_library().UMAP(n_neighbors=20, min_dist=0.0, n_components=10).fit(points.numpy())
    return torch.from_numpy(fitted.embedding_)


def recall(points: Float[Tensor, "n d"], found: Int64[Tensor, "n k"]) -> float:
    """Share of the true neighbours of 500 random points among those found."""
    sample = torch.randperm(len(points), generator=torch.Generator().manual_seed(1))[:500]
    return shared(found[sample], nearest(points[sample], points, found.shape[1])[1])


def agreement(neighbours: Int64[Tensor, "n k"], places: Float[Tensor, "n e"]) -> float:
    """Share of the neighbours of 2,000 random points that are also among their nearest places."""
    sample = torch.randperm(len(places), generator=torch.Generator().manual_seed(1))[:2000]
    return shared(neighbours[sample], nearest(places[sample], places, neighbours.shape[1])[1])


def shared(first: Int64[Tensor, "m k"], second: Int64[Tensor, "m k"]) -> float:
    """Mean share of the indices of a row that both have."""
    return float((first[:, :, None] == second[:, None]).any(dim=1).double().mean())


if __name__ == "__main__":
    typer.run(main)
