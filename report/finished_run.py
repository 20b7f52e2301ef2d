"""A finished run, opened to predict and to be scored."""

from __future__ import annotations

from pathlib import Path

import torch

from configs.load import ConfigError
from configs.schema import DataSettings, RunConfig
from data.image_set import DataError, ImageSet
from data.prepare import prepare
from data.sources import names
from engine.checkpoint import Checkpoint, read_checkpoint
from engine.errors import CheckpointError, UsageError
from engine.processes import pick_device
from engine.restore import restore
from evaluation.predictions import EvaluationError, Predictions, predict
from methods.base import Method
from models.autoencoder import ModelError
from report.rows import Row
from report.score_table import score_row

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
        self.path, self.checkpoint, self.config, self.method = path, checkpoint, config, method

    def predict(self, split: str, other: str | None, data_root: Path | None) -> Predictions:
        """What it says about a split of its own data set, drawn as its config has it, or of another, taken whole."""
        settings = self.config.data if other is None else DataSettings(name=other)
        try:
            images = prepare(settings, split, self.config.seed, data_root)
        except DataError as error:
            advice = "" if other else where_else(settings.name)
            raise DataError(f"{self.path}, {split} split: {error}{advice}") from error
        check_images(images, self.checkpoint, self.path)
        return predict(self.method, images, encoder=self.checkpoint.pretrained)

    def answer(self, images: str | None, split: str | None, data_root: Path | None) -> Predictions:
        """What it says about the images that it was fitted to or, where `images` names others, about those.

        Args:
            images: a data set's name, or a path.
            split: of them; all that there are, or what the method was fitted to.
            data_root: where data sets are kept.
        """
        fitted = self.config.data
        settings = fitted if images is None else DataSettings(name=images, split="all")
        found = prepare(settings, split or settings.split, self.config.seed, data_root)
        if images is None:
            check_images(found, self.checkpoint, self.path)
        else:  # these very images, whatever a set of that name was when the run was fitted
            check_shape(found, self.checkpoint, self.path)
        return predict(self.method, found, decoded=False)

    def row(self, predictions: Predictions, neighbours: bool = True) -> Row:
        """The scores of one set of images, as a row of a table; `neighbours` are what takes longest."""
        return score_row(self.checkpoint, self.config, self.method, predictions, str(self.path), neighbours)


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
    if shape != expected:
        raise DataError(
            f"{images.name} has images of shape {shape} (channels, height, width); {path} was trained on {expected}."
        )


def check_images(images: ImageSet, checkpoint: Checkpoint, path: Path) -> None:
    """Refuse images that the network cannot take, and a training set that is no longer what it was."""
    check_shape(images, checkpoint, path)
    same_name = (images.name, images.split) == (checkpoint.data["name"], checkpoint.data["split"])
    if same_name and images.fingerprint != checkpoint.data["fingerprint"]:
        raise DataError(
            f"the images of {images.name} ({images.split}) are not those that {path} was trained on: they have "
            "changed since. Give back the old ones, or score the new ones under another name with --data."
        )


def where_else(name: str) -> str:
    """What to do where the images that a run calls `name` are gone; nothing where they are not."""
    place = Path(name).expanduser()
    if name in names() or place.exists():
        return ""
    started = "" if place.is_absolute() else " The path begins in the folder where train.py was started: score there."
    return f"{started} Or --data says where they are now."
