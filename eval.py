"""Score checkpoints: `python eval.py checkpoint.pt`. Several checkpoints: one row each.

The table goes to stdout, or to --output; everything else goes to stderr.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import torch
import typer
from rich.console import Console

from configs.load import ConfigError
from configs.schema import RunConfig
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
from evaluation.rows import Row
from evaluation.seeds import over_seeds
from evaluation.table import FORMATS, make_row, render, write
from methods.base import Method
from models.autoencoder import ModelError

PROBLEMS = (CheckpointError, ConfigError, DataError, EvaluationError, ModelError, UsageError)

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
console = Console(stderr=True, highlight=False, markup=False)


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
    mean: Annotated[bool, typer.Option("--mean", help="Mean ± sd over seeds, a row a method and split.")] = False,
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
        # What cannot be scored does not cost what can.
        try:
            checkpoint = read_checkpoint(path)
            fitted = Fitted(path, checkpoint, *restore(checkpoint, str(path)), pick_device(device))
        except PROBLEMS as error:
            problems.append(str(error))
            continue
        for name in splits_to_score(split, fitted.config.data.split):
            try:
                images = load(data or fitted.config.data.name, name, data_root)
                rows.append(score(fitted, images, figures))
            except PROBLEMS as error:
                problems.append(str(error))
    try:
        if rows and mean:
            rows = over_seeds(rows)
        if rows and output is not None:
            write(rows, format_, output)
            console.print(f"table: {output}", soft_wrap=True)
        elif rows:
            print(render(rows, format_))
    except EvaluationError as error:
        problems.append(str(error))
    if problems:
        raise leave(problems)


class Fitted:
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

    def has_seen(self, images: ImageSet) -> bool:
        """Whether it was fitted to these images, or to a set that holds them."""
        fitted = self.checkpoint.data
        part_of_all = fitted["split"] == "all" and images.name == fitted["name"]
        return bool(part_of_all or images.fingerprint == fitted["fingerprint"])


def score(fitted: Fitted, images: ImageSet, figures: Path | None) -> Row:
    """The row of one run and one set of images; its figures go into `figures`/<run>-<split>."""
    check_images(images, fitted.checkpoint, fitted.path)
    predictions = predict(fitted.method, images, fitted.config.clusters)
    environment = fitted.checkpoint.environment
    row = make_row(
        evaluate(predictions),
        method=fitted.config.method,
        data=images.name,
        split=images.split,
        fitted=fitted.has_seen(images),
        seed=fitted.config.seed,
        seconds=fitted.checkpoint.loop.seconds,
        threads=environment["threads"] * environment["processes"],
        device=environment["device"],
        checkpoint=str(fitted.path),
    )
    if figures is not None:
        draw_into(figures / f"{fitted.path.resolve().parent.name}-{images.split}", predictions)
    return row


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


def draw_into(folder: Path, predictions: Predictions) -> None:
    """Draw what applies; what fails is said and costs nothing else."""
    try:
        drawn = draw(predictions, folder)
    except OSError as error:
        console.print(f"no figures: cannot write into {folder}: {error.strerror or error}.", soft_wrap=True)
        return
    console.print(f"figures: {folder} ({len(drawn.paths)} files)", soft_wrap=True)
    if drawn.problem:
        console.print(drawn.problem, soft_wrap=True)


def leave(problems: Sequence[str]) -> typer.Exit:
    """Say on stderr what went wrong, and exit with 2."""
    for problem in problems:
        console.print(problem, soft_wrap=True)
    return typer.Exit(2)


if __name__ == "__main__":
    app()
