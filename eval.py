"""Score checkpoints: `python eval.py checkpoint.pt`. Several checkpoints: one row each.

The table goes to stdout, or to --output; everything else goes to stderr.
"""

from __future__ import annotations

from system.start import quiet_imports

if __name__ == "__main__":
    quiet_imports()

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer

from data.prepare import SPLITS, splits_to_score
from engine.memory import keep_freed_memory
from engine.run_folder import CHECKPOINTS
from evaluation.classify import check_features, clusters_as_features, labels_of
from evaluation.merge_tree import merged
from evaluation.predictions import EvaluationError, Predictions
from report.aggregate import over_seeds, told_apart
from report.classifiers import render_classifiers
from report.figures import draw, draw_classifiers
from report.figures.files import say_drawn
from report.figures.places import figure_folder
from report.finished_run import PROBLEMS, FinishedRun, open_run
from report.formats import for_stdout
from report.rows import Row, value
from report.table import FORMATS, render, write
from system.command import App, NoCache, leave
from system.streams import as_printed, say

app = App()


@app.command()
def main(
    checkpoints: Annotated[list[Path], typer.Argument(metavar="CHECKPOINT...", help="Files that train.py wrote.")],
    split: Annotated[
        str | None,
        typer.Option(help="train, validation, test, or all for train and test; default: what each was fitted to."),
    ] = None,
    data: Annotated[str | None, typer.Option(help="Score on other images: a name, or a path.")] = None,
    data_root: Annotated[Path | None, typer.Option(help="Where the data sets are kept.")] = None,
    format_: Annotated[str, typer.Option("--format", help=f"{', '.join(FORMATS)}.")] = "table",
    output: Annotated[Path | None, typer.Option(help="Write the table to this file.")] = None,
    figures: Annotated[Path | None, typer.Option(help="Draw figures into this folder.")] = None,
    mean: Annotated[
        bool, typer.Option("--mean", help="Means and deviations over seeds, a row a method and split.")
    ] = False,
    broader: Annotated[
        list[int] | None, typer.Option(metavar="N", help="Score the clusters merged into N broader ones as well.")
    ] = None,
    classify: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FEATURES",
            help="Train a random forest on what was fitted and score it on the test split: on the pixels and the "
            "cluster (add), on the cluster alone (replace), or on the pixels alone (pixels).",
        ),
    ] = None,
    neighbours: Annotated[
        bool, typer.Option(help="Score nearest neighbours, which takes longest in many dimensions.")
    ] = True,
    device: Annotated[str, typer.Option(help="Where networks run: auto, cpu, cuda or mps.")] = "auto",
    no_cache: NoCache = False,
) -> None:
    """Print the metric table of checkpoints."""
    keep_freed_memory()
    if format_ not in FORMATS:
        raise leave([f"--format {format_}: formats are {', '.join(FORMATS)}."])
    if split not in (None, *SPLITS):
        raise leave([f"--split {split}: splits are train, validation, test and all (train and test, a row each)."])
    if classify:
        try:
            check_features(classify)
        except EvaluationError as error:
            raise leave([f"--classify: {error}"]) from error
    wishes = Wishes(split, data, data_root, figures, broader or (), classify or (), neighbours, device)
    rows: list[Row] = []
    problems: list[str] = []
    undrawn: list[str] = []
    settings: dict[str, Mapping[str, Any]] = {}
    for path in checkpoints:
        scored = score_checkpoint(path, wishes)
        rows += scored.rows
        problems += scored.problems
        undrawn += scored.undrawn
        settings[str(path)] = scored.settings
    try:
        if rows and mean:
            rows = over_seeds(told_apart(rows, settings))
        if rows and output is not None:
            save(rows, format_, output)
        elif rows:
            print(render(for_stdout(rows, format_), format_))
    except EvaluationError as error:
        problems.append(str(error))
    if problems or undrawn:
        raise leave([*problems, *undrawn], 2 if problems else 1)


def save(rows: Sequence[Row], format_: str, output: Path) -> None:
    """Write the table to the file; where that cannot be done, print it: it may have taken an hour."""
    try:
        write(rows, format_, output)
    except EvaluationError:
        print(render(for_stdout(rows, format_), format_))
        raise
    say(f"table: {output}")


@dataclass(frozen=True)
class Wishes:
    """What is asked of every checkpoint; see the command's options."""

    split: str | None
    data: str | None
    data_root: Path | None
    figures: Path | None
    broader: Sequence[int]
    classify: Sequence[str]
    neighbours: bool
    device: str


class Scored(NamedTuple):
    """What came of one checkpoint.

    Attributes:
        rows: of the table.
        problems: what could not be scored, for people.
        undrawn: which figures could not be drawn, for people.
        settings: the config of its run, empty if it is none.
    """

    rows: list[Row]
    problems: list[str]
    undrawn: list[str]
    settings: Mapping[str, Any]


def score_checkpoint(path: Path, wishes: Wishes) -> Scored:
    """Score what can be scored: what cannot does not cost it."""
    try:
        fitted = open_run(path, wishes.device)
    except PROBLEMS as error:
        return Scored([], [str(error)], [], {})
    rows: list[Row] = []
    problems: list[str] = []
    undrawn: list[str] = []
    lines: list[str] = []
    # Only forests need the predictions once more: without them each goes when its row is made.
    kept: dict[str, Predictions] = {}
    for name in splits_to_score(wishes.split, fitted.config.data.split):
        try:
            predictions = fitted.predict(name, wishes.data, wishes.data_root)
            if predictions.images.was_read is not None:
                lines.append(predictions.images.was_read.line())
            rows.append(fitted.row(predictions, wishes.neighbours))
            if wishes.classify:
                kept[name] = predictions
            for groups in wishes.broader:
                row = fitted.row(merged(predictions, groups), wishes.neighbours)
                rows.append({**row, "title": f"{row['title']}, {groups} groups", "notes": None})
            if wishes.figures is not None:
                folder = figure_folder(wishes.figures, path, name, wishes.data, CHECKPOINTS)
                undrawn += say_drawn(folder, draw(predictions, folder, fitted.checkpoint.loop.history))
        except PROBLEMS as error:
            problems.append(str(error))
    for line in dict.fromkeys(lines):
        say(line)
    if wishes.classify:
        try:
            accuracies, missing = classify_clusters(fitted, wishes, kept)
            rows = [{**row, **accuracies} if value(row, "split") == "test" else row for row in rows]
            undrawn += missing
        except PROBLEMS as error:
            problems.append(f"--classify: {error}")
    return Scored(rows, problems, undrawn, fitted.config.model_dump(mode="json"))


def classify_clusters(
    fitted: FinishedRun, wishes: Wishes, kept: Mapping[str, Predictions]
) -> tuple[dict[str, float], list[str]]:
    """Random forests on pixels and clusters of what was fitted; their accuracies on the test split, for its row.

    `kept` are the predictions that scoring has made already, by split. What could not be drawn comes with them.
    """
    if fitted.config.data.split != "train":
        raise EvaluationError(
            f"{fitted.path} was fitted to the split {fitted.config.data.split}: forests would be scored on images that "
            "they were trained on. It takes a run that was fitted to the split train."
        )
    found = []
    for name in (fitted.config.data.split, "test"):
        found.append(kept[name] if name in kept else fitted.predict(name, wishes.data, wishes.data_root))
        labels_of(found[-1])  # without them the other split need not be looked for
    train, test = found
    scores = clusters_as_features(train, test, fitted.config.seed, features=wishes.classify)
    names = [as_printed(name) for name in test.images.class_names]
    say(f"\n{fitted.config.title}, seed {fitted.config.seed}")
    say(render_classifiers(scores, names))
    undrawn: list[str] = []
    if wishes.figures is not None:
        folder = figure_folder(wishes.figures, fitted.path, "test", wishes.data, CHECKPOINTS)
        undrawn = say_drawn(folder, draw_classifiers(scores, test.images.class_names, folder))
    return {f"rf_accuracy_{name}": score.accuracy for name, score in scores.items()}, undrawn


if __name__ == "__main__":
    app()
