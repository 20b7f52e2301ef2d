"""What DipDECK's merges make of latents that were not trained for clusters: how many are left, and what is in them.

    python train.py --method ae-kmeans --set representation.autoencoder.model.latent=5 --out checkpoints/ae-5
    python -m benchmarks.studies.dip_merges checkpoints/ae-5/checkpoint.pt

Labels are looked at afterwards: the table says which classes the largest clusters hold.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import torch
import typer

from configs.schema import KMeansSettings
from estimators.dip_merging import compared, merge_alike
from estimators.kmeans import kmeans
from report.finished_run import open_run

SHOWN = 5
"""Clusters in the table."""


def main(
    checkpoint: Annotated[Path, typer.Argument(help="A finished run whose latents are taken.")],
    start: Annotated[int, typer.Option(help="Clusters to begin with.")] = 35,
    threshold: Annotated[float, typer.Option(help="The p-value from which on two clusters are merged.")] = 0.9,
    factor: Annotated[float, typer.Option(help="DipDECK's cluster.size_factor.")] = 2.0,
) -> None:
    """Print what is left after all merges, as Markdown."""
    run = open_run(checkpoint)
    images = run.images(run.config.data.split, None, None)
    z = run.method.embed(images.images)
    labels = kmeans(z, start, KMeansSettings(redos=20), run.config.seed).labels
    found = compared(z, labels, start, factor)
    pairs = found.p[torch.triu(torch.ones_like(found.p), diagonal=1).bool()]
    print(f"{int((pairs >= threshold).sum())} of {len(pairs)} pairs have p of {threshold:g} or more.")
    merges = merge_alike(found, z, threshold, factor)
    print(f"{merges} merges leave {int(found.alive.sum())} clusters.\n")
    print("| cluster | images | classes |\n|--:|--:|---|")
    for cluster in found.labels.bincount().argsort(descending=True)[:SHOWN].tolist():
        inside = found.labels == cluster
        classes = "" if images.labels is None else shares(images.labels[inside], images.class_names)
        print(f"| {cluster} | {int(inside.sum()):,} | {classes} |")


def shares(labels: torch.Tensor, names: tuple[str, ...]) -> str:
    """The classes that make a twentieth or more of these images, the largest first."""
    counts = labels.bincount(minlength=len(names)) / len(labels)
    order = counts.argsort(descending=True).tolist()
    return ", ".join(f"{names[i]} {counts[i]:.0%}" for i in order if counts[i] >= 1 / 20)


if __name__ == "__main__":
    typer.run(main)
