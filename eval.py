"""Score checkpoints: `python eval.py checkpoint.pt`. Several checkpoints: one row each.

The table goes to stdout, or to --output; everything else goes to stderr.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import torch
import typer
from rich.console import Console

from configs.load import ConfigError
from data.image_set import DataError, ImageSet
from data.sources import load
from engine.checkpoint import Checkpoint, read_checkpoint
from engine.errors import CheckpointError, UsageError
from engine.processes import pick_device
from engine.restore import restore
from evaluation.errors import EvaluationError
from evaluation.evaluate import evaluate
from evaluation.figures import draw
from evaluation.predict import predict
from evaluation.predictions import Predictions
from evaluation.rows import Row, Value
from evaluation.table import FORMATS, make_row, render, write
from models.autoencoder import ModelError

PROBLEMS = (CheckpointError, ConfigError, DataError, EvaluationError, ModelError, UsageError)

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
console = Console(stderr=True, highlight=False)


@app.command()
def main(
    checkpoints: Annotated[list[Path], typer.Argument(metavar="CHECKPOINT...", help="Files that train.py wrote.")],
    split: Annotated[
        str | None, typer.Option(help="train, test, or all for a row each; default: what each was fitted to.")
    ] = None,
    data: Annotated[str | None, typer.Option(help="Score on other images: a name, or a path.")] = None,
    data_root: Annotated[Path | None, typer.Option(help="Where the data sets are kept.")] = None,
    format_: Annotated[str, typer.Option("--format", help=f"{', '.join(FORMATS)}.")] = "table",
    output: Annotated[Path | None, typer.Option(help="Write the table to this file.")] = None,
    figures: Annotated[Path | None, typer.Option(help="Draw figures into this folder.")] = None,
    device: Annotated[str, typer.Option(help="Where networks run: auto, cpu, cuda or mps.")] = "auto",
) -> None:
    """Print the metric table of checkpoints."""
    if format_ not in FORMATS:
        raise leave([f"--format {format_}: formats are {', '.join(FORMATS)}."])
    if split not in (None, "train", "test", "all"):
        raise leave([f"--split {split}: splits are train, test and all (a row each)."])
    rows: list[Row] = []
    problems: list[str] = []
    for path in checkpoints:
        # A bad checkpoint does not cost the rows of the good ones.
        try:
            rows += score(path, split, data, data_root, pick_device(device), figures)
        except PROBLEMS as error:
            problems.append(str(error))
    try:
        if rows and output is not None:
            write(rows, format_, output)
            console.print(f"table: {output}", soft_wrap=True)
        elif rows:
            print(render(rows, format_))
    except EvaluationError as error:
        problems.append(str(error))
    if problems:
        raise leave(problems)


def score(
    path: Path,
    split: str | None,
    data: str | None,
    data_root: Path | None,
    device: torch.device,
    figures: Path | None,
) -> list[Row]:
    """A row for every split that was asked for, and its figures into `figures`/<run>-<split>."""
    checkpoint = read_checkpoint(path)
    if not checkpoint.loop.done:
        raise CheckpointError(f"{path} holds a run that is not finished; train.py --resume goes on with it.")
    config, method = restore(checkpoint, str(path))
    method.to(device)
    rows = []
    for name in splits_to_score(split, config.data.split):
        images = load(data or config.data.name, name, data_root)
        check_images(images, checkpoint, path)
        predictions = predict(method, images, config.clusters)
        rows.append(row(path, checkpoint, images, evaluate(predictions)))
        if figures is not None:
            draw_into(figures / f"{path.resolve().parent.name}-{name}", predictions)
    return rows


def splits_to_score(asked: str | None, fitted: str) -> tuple[str, ...]:
    """Without a wish, the split that the method was fitted to."""
    if asked == "all":
        return ("train", "test")
    return (asked or fitted,)


def check_images(images: ImageSet, checkpoint: Checkpoint, path: Path) -> None:
    """Refuse images that the network cannot take, and a training set that is no longer what it was."""
    shape, expected = list(images.images.shape[1:]), checkpoint.data["shape"]
    if shape != expected:
        raise DataError(
            f"{images.name} has images of shape {shape} (channels, height, width); {path} was trained on {expected}."
        )
    same_name = (images.name, images.split) == (checkpoint.data["name"], checkpoint.data["split"])
    if same_name and images.fingerprint != checkpoint.data["fingerprint"]:
        raise DataError(
            f"the images of {images.name} ({images.split}) are not those that {path} was trained on: they have "
            "changed since. Give back the old ones, or score the new ones under another name with --data."
        )


def row(path: Path, checkpoint: Checkpoint, images: ImageSet, metrics: Mapping[str, Value]) -> Row:
    """The table's row for one checkpoint and one split."""
    return make_row(
        metrics,
        method=checkpoint.config["method"],
        data=images.name,
        split=images.split,
        fitted=images.fingerprint == checkpoint.data["fingerprint"],
        seed=checkpoint.config["seed"],
        seconds=checkpoint.loop.seconds,
        threads=checkpoint.environment["threads"] * checkpoint.environment["processes"],
        device=checkpoint.environment["device"],
        checkpoint=str(path),
    )


def draw_into(folder: Path, predictions: Predictions) -> None:
    """Draw what applies; what fails is said and costs nothing else."""
    try:
        drawn = draw(predictions, folder)
    except OSError as error:
        raise EvaluationError(f"cannot write figures into {folder}: {error.strerror or error}.") from error
    console.print(f"figures: {folder} ({len(drawn.paths)} files)", soft_wrap=True)
    if drawn.problem:
        console.print(drawn.problem, soft_wrap=True, markup=False)


def leave(problems: Sequence[str]) -> typer.Exit:
    """Say on stderr what went wrong, and exit with 2."""
    for problem in problems:
        console.print(problem, soft_wrap=True, markup=False)
    return typer.Exit(2)


if __name__ == "__main__":
    app()
