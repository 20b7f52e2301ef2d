"""A finished run as benchmarks look at it: its method, and the images that it was fitted to."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import typer
from jaxtyping import Int64
from torch import Tensor

from data.image_set import ImageSet
from data.prepare import prepare
from engine.checkpoint import Checkpoint, read_checkpoint
from engine.restore import restore
from methods.base import Method


class Restored(NamedTuple):
    """A run, and the labels that benchmarks compare it with."""

    checkpoint: Checkpoint
    method: Method
    images: ImageSet
    labels: Int64[Tensor, " n"]

    @property
    def name(self) -> str:
        """ "dec, seed 0"."""
        config = self.checkpoint.config
        return f"{config.get('name') or config['method']}, seed {config['seed']}"


def restored(path: Path) -> Restored:
    """The run of a checkpoint, which ends the benchmark with a message where its images have no labels."""
    checkpoint = read_checkpoint(path)
    config, method = restore(checkpoint, str(path))
    images = prepare(config.data, config.data.split, config.seed)
    if images.labels is None:
        typer.echo(f"{path}: {images.name} has no labels to compare with", err=True)
        raise typer.Exit(1)
    return Restored(checkpoint, method, images, images.labels)
