"""How often the advice on k is right where k is known: `compare.py --k` on sets with known groups, run in one process.

    python -m benchmarks.studies.known_k hog-kmeans umap-kmeans --data digits --k 6-14
    python -m benchmarks.studies.known_k raw-kmeans --data mixture-40 --k 20,30,36,40,44,50
    python -m benchmarks.studies.known_k pca-gmm --data fashion-mnist --right 10 --set data.subset=10000

Every repeat has seeds of its own and, of a mixture, groups of its own. Labels are read for the number of classes alone,
which is what the advice is compared with.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import numpy as np
import torch
import typer

from configs.schema import RunConfig
from data.image_set import ImageSet
from data.prepare import prepare
from data.subsets import draw
from engine.fit import fit
from evaluation.predictions import predict
from methods.resolve import resolve_config
from report.comparison.advice import advise
from report.comparison.over_k import Labels, parse_k, summary
from report.rows import Row
from report.score_table import score_row

MIXTURE, EACH = "mixture-", 25
"""Before the number of groups in the name of a set that is made here, and images a group."""


def main(
    methods: Annotated[list[str], typer.Argument(help="Methods' names.")],
    data: Annotated[str, typer.Option(help="A data set's name, or a path.")] = "digits",
    k: Annotated[str, typer.Option("--k", help="As compare.py takes it.")] = "6-14",
    right: Annotated[int | None, typer.Option(help="The right k; default: the number of classes.")] = None,
    seeds: Annotated[int, typer.Option(help="Runs on all images and on halves, each.")] = 3,
    repeats: Annotated[int, typer.Option(help="Advice from so many sets of seeds.")] = 5,
    set_: Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="A setting for all.")] = None,
    threads: Annotated[int, typer.Option(help="Of the processor.")] = 2,
) -> None:
    """Print a Markdown table, a row a method."""
    torch.set_num_threads(threads)
    print("| method | data | right k | advice by set of seeds | right |")
    print("|---|---|--:|---|--:|")
    for method in methods:
        known, found = right, []
        for repeat in range(repeats):
            first = repeat * 2 * seeds
            images = images_of(data, method, set_ or [], repeat)
            known = known or len(images.class_names)
            rows = rows_over_k(method, set_ or [], images, parse_k(k), range(first, first + seeds))
            found.append(advise(rows).k)
            typer.echo(f"{method}, seeds from {first}: {advise(rows).sentence}", err=True)
        shown = ", ".join("none" if one is None else str(one) for one in found)
        print(f"| {method} | {data} | {known} | {shown} | {sum(one == known for one in found)} of {repeats} |")


def images_of(data: str, method: str, settings: Sequence[str], repeat: int) -> ImageSet:
    """A data set as the settings have it, or a new mixture."""
    if data.startswith(MIXTURE):
        return mixture(int(data.removeprefix(MIXTURE)), EACH, 100 + repeat)
    config = resolve_config(method, None, settings, {"data.name": data})
    return prepare(config.data, config.data.split, 0)


def mixture(groups: int, each: int, seed: int) -> ImageSet:
    """Images of 8 × 8 pixels, `each` around each of so many random ones, with a deviation of 40 grey levels."""
    random = np.random.default_rng(seed)
    centres = random.uniform(40, 215, size=(groups, 64))
    pixels = np.concatenate([centre + random.normal(scale=40, size=(each, 64)) for centre in centres])
    images = torch.from_numpy(pixels.round().clip(0, 255).astype(np.uint8)).view(-1, 1, 8, 8)
    labels = torch.arange(groups).repeat_interleave(each)
    return ImageSet(f"{MIXTURE}{groups}", "train", images, labels, tuple(map(str, range(groups))))


def rows_over_k(
    method: str, settings: Sequence[str], images: ImageSet, ks: Sequence[int], seeds: Sequence[int]
) -> list[Row]:
    """The rows of `compare.py --k`, without labels; halves have the seeds that follow."""
    images = ImageSet(images.name, images.split, images.images)
    rows: list[Row] = []
    for k in ks:
        scored, whole, halves = [], [], []
        for seed in seeds:
            row, labels = _run(method, settings, k, seed, images, images)
            scored.append(row)
            whole.append(labels)
        for seed in range(max(seeds) + 1, max(seeds) + 1 + max(2, len(seeds))):
            half = draw(images, len(images) // 2, "random", seed)
            halves.append(_run(method, settings, k, seed, half, images)[1])
        rows.append({"title": method, "data": images.name, **summary(k, scored, whole, halves)})
    return rows


def _run(
    method: str, settings: Sequence[str], k: int, seed: int, fitted: ImageSet, images: ImageSet
) -> tuple[Row, Labels]:
    """A run's scores on `images` and its answer for them."""
    config: RunConfig = resolve_config(method, None, settings, {"clusters": k, "seed": seed})
    run = fit(config, fitted)
    predictions = predict(run.method, images, decoded=False, encoder=run.checkpoint.pretrained)
    scores = score_row(run.checkpoint, config, run.method, predictions, neighbours=False) if fitted is images else {}
    return scores, predictions.assignments.labels


if __name__ == "__main__":
    typer.run(main)
