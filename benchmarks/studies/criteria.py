"""How well criteria without labels rank runs: every criterion beside ACC, NMI and ARI, and their rank correlations.

    python -m benchmarks.studies.criteria checkpoints/*/checkpoint.pt

The criteria are those of docs/experiments.md: agreement with the 20 nearest neighbours in a run's own space, agreement
of an image with a changed one, how even clusters are, and how alike a run is to the others of its settings (mean ARI).
The labels are read after them, for the last three columns alone.
"""

from __future__ import annotations

import json
import math
import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import torch
import typer
from jaxtyping import Int64
from scipy.stats import spearmanr
from torch import Tensor

from benchmarks.studies.restored import restored
from benchmarks.studies.stability import settings
from configs.schema import AugmentationSettings
from data.augmentation import Augmentation
from data.image_set import ImageSet
from engine.checkpoint import Checkpoint
from engine.randomness import BatchNoise
from evaluation.agreement import adjusted_rand_index, agreement
from evaluation.contingency import contingency
from evaluation.neighbour_purity import neighbour_purity
from evaluation.predictions import predict
from models.normalise import unit_pixels

VIEWS = AugmentationSettings(shift=0.1, rotation=10, brightness=0.3, contrast=0.3)
"""Changes that leave garments and digits what they are; the same for all runs, whatever they were trained with."""
CRITERIA = ("neighbours", "views", "balance", "alike")
SCORES = ("acc", "nmi", "ari")


@dataclass(frozen=True)
class Run:
    """A finished run and what its labels say of it."""

    name: str
    group: str
    labels: Int64[Tensor, " n"]
    values: dict[str, float]


def main(checkpoints: Annotated[list[Path], typer.Argument(help="Finished runs on one data set.")]) -> None:
    """Print two Markdown tables: a row a run, and a row a criterion."""
    runs = [measure(path) for path in checkpoints]
    print(f"| run | {' | '.join((*CRITERIA, *SCORES))} |")
    print(f"|---|{'--:|' * (len(CRITERIA) + len(SCORES))}")
    rows = []
    for run in runs:
        row = {**run.values, "alike": alike(run, runs)}
        rows.append(row)
        print(f"| {run.name} | {' | '.join(f'{row[key]:.3f}' for key in (*CRITERIA, *SCORES))} |")
    print(f"\n| Spearman's ρ over {len(runs)} runs | {' | '.join(SCORES)} |\n|---|{'--:|' * len(SCORES)}")
    for criterion in CRITERIA:
        figures = [rank_correlation([row[criterion] for row in rows], [row[key] for row in rows]) for key in SCORES]
        print(f"| {criterion} | {' | '.join(figures)} |")


def measure(path: Path) -> Run:
    """All that can be said of one run alone."""
    checkpoint, method, images, truth = run = restored(path)
    predictions = predict(method, images)
    labels = predictions.assignments.labels
    sizes = torch.bincount(labels, minlength=method.clusters).double() / len(labels)
    values = {
        "neighbours": neighbour_purity(predictions.embedding, labels) or math.nan,
        "views": float((method.assign(changed(images)).labels == labels).double().mean()),
        "balance": float(torch.special.entr(sizes).sum() / math.log(method.clusters)),
    }
    scores = agreement(contingency(truth, labels))
    return Run(run.name, group(checkpoint), labels, {**values, **{key: scores[key] for key in SCORES}})


def changed(images: ImageSet) -> Tensor:
    """One view of every image, (n, c, h, w), uint8."""
    augmentation = Augmentation(VIEWS)
    parts = []
    for number, part in enumerate(torch.split(images.images, 1000)):
        noise = BatchNoise(number, len(part), slice(None), torch.device("cpu"))
        parts.append((augmentation(unit_pixels(part), noise) * 255).round().to(torch.uint8))
    return torch.cat(parts)


def alike(run: Run, runs: list[Run]) -> float:
    """Mean ARI between this run's assignments and those of the others of its settings; nan where there is none."""
    others = [other for other in runs if other is not run and other.group == run.group]
    found = [adjusted_rand_index(contingency(run.labels, other.labels)) for other in others]
    return statistics.fmean(found) if found else math.nan


def rank_correlation(criterion: list[float], score: list[float]) -> str:
    """Spearman's ρ over the runs that have both; a dash below three."""
    pairs = [pair for pair in zip(criterion, score, strict=True) if not any(map(math.isnan, pair))]
    if len(pairs) < 3:
        return "–"
    return f"{spearmanr(*zip(*pairs, strict=True)).statistic:+.2f}"


def group(checkpoint: Checkpoint) -> str:
    """The settings without the seed, as text."""
    return json.dumps(settings(checkpoint), sort_keys=True)


if __name__ == "__main__":
    typer.run(main)
