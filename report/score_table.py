"""What a run's clusters of one set of images are worth: the row that `eval.py` prints, for Python as well."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch

from configs.schema import RunConfig
from data.fingerprints import among, count_among
from data.image_set import DataError, ImageSet
from engine.checkpoint import Checkpoint
from evaluation.evaluate import CPU, evaluate, sampling_notes
from evaluation.predictions import Predictions
from methods.base import Method, OnOutsideData
from report.rows import Row, Value
from report.table import RunFacts, make_row, render


def score_row(
    checkpoint: Checkpoint,
    config: RunConfig,
    method: Method,
    predictions: Predictions,
    path: str | None = None,
    neighbours: bool = True,
    device: torch.device = CPU,
) -> Row:
    """The row of one run and one set of images.

    Args:
        checkpoint: of the run.
        config: of the run.
        method: fitted.
        predictions: its, for the images.
        path: of the checkpoint; None where it is in memory alone.
        neighbours: score nearest neighbours, which takes longest in many dimensions.
        device: where distances between all points are computed.

    Raises:
        EvaluationError: as `evaluate`.
    """
    scores = evaluate(predictions, neighbours, device)
    images, environment, loop = predictions.images, checkpoint.environment, checkpoint.loop
    run = RunFacts(
        title=config.title,
        method=config.method,
        k_asked=None if config.finds_clusters else config.clusters,
        seed=config.seed,
        seconds=loop.seconds,
        images_per_second=loop.images_per_second,
        threads=environment["threads"] * environment["processes"],
        device=environment["device"],
        peak_memory=loop.peak_memory,
        checkpoint=path,
        notes=(*checkpoint.data.get("notes", ()), *method.notes, *sampling_notes(scores)),
        known=known_count(checkpoint),
        outside_data=method.pretrained_on if isinstance(method, OnOutsideData) else None,
        report=None if config.report is None else config.report.row,
    )
    figures = {} if config.report is None else config.report.figures
    reported: Mapping[str, float] = dict(*(found for split, found in figures.items() if split == images.split))
    return make_row(run, scores, images.name, images.split, count_seen(checkpoint, images), reported)


def known_count(checkpoint: Checkpoint) -> str | None:
    """Of how many training images something was known, "600 of 60,000"; None where the run knew nothing of any."""
    known = checkpoint.data.get("known")
    return None if known is None else f"{len(known['images']):,} of {checkpoint.data['n']:,}"


def without_known(checkpoint: Checkpoint, images: ImageSet) -> ImageSet:
    """The images of which the run was told nothing: those alone are scored.

    Raises:
        DataError: it was told something of all.
    """
    known = checkpoint.data.get("known")
    if known is None:
        return images
    told = among(images.images, known["fingerprints"])
    if bool(told.all()):
        raise DataError(f"the run was told the labels of all images of {images.name} ({images.split}): none is scored.")
    return images.subset((~told).nonzero().flatten()) if bool(told.any()) else images


def count_seen(checkpoint: Checkpoint, images: ImageSet) -> int:
    """To how many of these images the run was fitted: image by image, whatever they are called."""
    fitted = checkpoint.data
    if images.fingerprint == fitted["fingerprint"]:
        return len(images)
    if "image_fingerprints" in fitted:
        return count_among(images.images, fitted["image_fingerprints"])
    # Checkpoints of before know the whole set alone.
    return len(images) if fitted["split"] == "all" and images.name == fitted["name"] else 0


class ScoreTable(Mapping[str, Value]):
    """A row of results: prints as the table of `eval.py`, and gives its values by their names.

    Attributes:
        rows: the row, for `report.table.render` and `report.table.write`, which make CSV, JSON, Markdown and LaTeX.
    """

    def __init__(self, row: Row) -> None:
        self.rows = (row,)

    def __getitem__(self, key: str) -> Value:
        return self.rows[0][key]

    def __iter__(self) -> Iterator[str]:
        return iter(self.rows[0])

    def __len__(self) -> int:
        return len(self.rows[0])

    def __repr__(self) -> str:
        return render(self.rows, "table")
