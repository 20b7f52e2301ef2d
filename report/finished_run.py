"""A finished run, opened to predict and to be scored."""

from __future__ import annotations

from pathlib import Path

import torch

from configs.load import ConfigError
from configs.schema import DataSettings, RunConfig
from data.image_set import DataError, ImageSet
from data.prepare import prepare, reading_of
from data.reading import as_before
from data.sources import names
from engine.checkpoint import Checkpoint, read_checkpoint
from engine.errors import CheckpointError, UsageError
from engine.processes import pick_device
from engine.restore import restore
from evaluation.predictions import EvaluationError, Predictions, predict
from methods.base import Method
from models.autoencoder import ModelError
from report.rows import Row
from report.score_table import score_row, without_known

PROBLEMS = (CheckpointError, ConfigError, DataError, EvaluationError, ModelError, UsageError)
"""What opening, predicting and scoring raise. The message is for the user."""


class FinishedRun:
    """A finished run, ready to predict.

    Raises:
        CheckpointError: when the run is not finished.
    """

    def __init__(
        self, path: Path, checkpoint: Checkpoint, config: RunConfig, method: Method, device: torch.device
    ) -> None:
        if not checkpoint.loop.done:
            raise CheckpointError(f"{path} holds a run that is not finished; train.py --resume goes on with it.")
        method.to(device)
        self.path, self.checkpoint, self.config, self.method, self.device = path, checkpoint, config, method, device

    def predict(
        self, split: str, other: str | None, data_root: Path | None, decoded: bool = True, scored: bool = True
    ) -> Predictions:
        """What it says about a split of its own data set, drawn as its config has it, or of another, taken whole.

        Args:
            split: which images.
            other: a data set's name, or a path; None: its own.
            data_root: where data sets are kept.
            decoded: with what a decoder makes of them, for figures.
            scored: for the row: without images whose labels the run was told, and with the space before the encoder
                was trained for clusters.
        """
        try:
            images = self.images(split, other, data_root)
        except DataError as error:
            advice = "" if other else where_else(self.config.data.name)
            raise type(error)(f"{self.path}, {split} split: {error}{advice}") from error
        check_shape(images, self.checkpoint, self.path)
        if other is None:
            check_unchanged(images, self.checkpoint, self.path)
        if scored:
            images = without_known(self.checkpoint, images)
        return predict(self.method, images, decoded, self.checkpoint.pretrained if scored else None)

    def images(self, split: str, other: str | None, data_root: Path | None) -> ImageSet:
        """A split of its own data set, drawn as its config has it, or of another, whose pictures are read as its own.

        Raises:
            DataError: when they cannot be read.
        """
        own, data = self.config.data, self.checkpoint.data
        if other is None:
            return prepare(own, split, self.config.seed, data_root, data.get("place"))
        # Older checkpoints tell the shape alone.
        channels, *size = data["shape"]
        done = data.get("reading") or {"size": size, "channels": channels if channels in (1, 3) else None}
        reading = as_before(done, reading_of(own))
        return prepare(DataSettings(name=other), split, self.config.seed, data_root, reading=reading)

    def row(self, predictions: Predictions, neighbours: bool = True) -> Row:
        """The scores of one set of images, as a row of a table; `neighbours` are what takes longest."""
        return score_row(
            self.checkpoint, self.config, self.method, predictions, str(self.path), neighbours, self.device
        )


def open_run(path: Path, device: str = "auto") -> FinishedRun:
    """The finished run in a checkpoint's file.

    Raises:
        CheckpointError: there is none, or it is not finished.
        ConfigError: its config is not valid any more.
        UsageError: there is no such device.
    """
    checkpoint = read_checkpoint(path)
    return FinishedRun(path, checkpoint, *restore(checkpoint, str(path)), pick_device(device))


def check_shape(images: ImageSet, checkpoint: Checkpoint, path: Path) -> None:
    """Refuse images that the network cannot take."""
    shape, expected = list(images.images.shape[1:]), checkpoint.data["shape"]
    if images.are_points or checkpoint.data.get("points", False):
        _check_points(images, checkpoint, path)
    if shape != expected:
        raise DataError(
            f"{images.name} has images of shape {shape} (channels, height, width); {path} was trained on {expected}."
        )


def _check_points(images: ImageSet, checkpoint: Checkpoint, path: Path) -> None:
    given, fitted = (
        f"points of {shape[0]:,} numbers" if points else "images"
        for shape, points in (
            (images.images.shape[1:], images.are_points),
            (checkpoint.data["shape"], checkpoint.data.get("points", False)),
        )
    )
    if given != fitted:
        raise DataError(f"{images.name} has {given}; {path} was trained on {fitted}.")


def check_unchanged(images: ImageSet, checkpoint: Checkpoint, path: Path) -> None:
    """Refuse a training set that is no longer what it was."""
    same_split = images.split == checkpoint.data["split"]
    if same_split and images.fingerprint != checkpoint.data["fingerprint"]:
        raise DataError(
            f"the images of {images.name} ({images.split}) are not those that {path} was trained on: they have "
            f"changed since ({checkpoint.data['n']:,} images then, {len(images):,} now). Give back the old ones, or "
            f"take these as a new set: predict.py CHECKPOINT {images.name}, eval.py CHECKPOINT --data {images.name}."
        )


def where_else(name: str) -> str:
    """What to do where the images that a run calls `name` are gone; nothing where they are not."""
    place = Path(name).expanduser()
    if name in names() or place.exists():
        return ""
    started = "" if place.is_absolute() else " The path begins in the folder where train.py was started: score there."
    return f"{started} Or --data says where they are now."
