"""From checkpoints to rows of the table, with figures and classifiers where they are asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from data.image_set import NoSplitError
from data.prepare import splits_to_score
from engine.checkpoints_folder import CHECKPOINTS
from evaluation.classify import clusters_as_features, labels_of
from evaluation.dendrogram_purity import tree_purity
from evaluation.evaluate import sampling_notes
from evaluation.merge_tree import merged
from evaluation.predictions import EvaluationError, Predictions
from report.classifiers import render_classifiers
from report.finished_run import PROBLEMS, FinishedRun, open_run
from report.formats import for_stdout
from report.rows import BETWEEN_NOTES, Row, value
from report.table import render, write
from system.streams import as_printed, say


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
        return Scored([], [problem(path, error)], [], {})
    rows: list[Row] = []
    problems: list[str] = []
    undrawn: list[str] = []
    lines: list[str] = []
    # Only forests need the predictions once more: without them each goes when its row is made.
    kept: dict[str, Predictions] = {}
    for name in splits_to_score(wishes.split, fitted.config.data.split):
        try:
            predictions = fitted.predict(name, wishes.data, wishes.data_root, decoded=wishes.figures is not None)
            if predictions.images.was_read is not None:
                lines.append(predictions.images.was_read.line())
            whole = fitted.row(predictions, wishes.neighbours)
            rows.append({**whole, "dendrogram_purity": tree_purity(predictions)} if wishes.broader else whole)
            if wishes.classify:
                kept[name] = predictions
            for groups in wishes.broader:
                row = fitted.row(merged(predictions, groups), wishes.neighbours)
                cut_from = () if predictions.tree is None else ("groups of the method's own tree",)
                notes = BETWEEN_NOTES.join((*cut_from, *sampling_notes(row))) or None
                rows.append({**row, "title": f"{row['title']}, {groups} groups", "notes": notes})
            if wishes.figures is not None:
                from report.figures import draw  # late: matplotlib takes a second
                from report.figures.files import say_drawn
                from report.figures.places import figure_folder

                folder = figure_folder(wishes.figures, path, name, wishes.data, CHECKPOINTS)
                undrawn += say_drawn(folder, draw(predictions, folder, fitted.checkpoint.loop.history))
        except NoSplitError as error:
            # All of a set without test images is its training images.
            if not (wishes.split == "all" and rows):
                problems.append(problem(path, error))
        except PROBLEMS as error:
            problems.append(problem(path, error))
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


def problem(path: Path, error: Exception) -> str:
    """What is wrong, and with which of several checkpoints."""
    said = str(error)
    return said if str(path) in said else f"{path}: {said}"


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
        found.append(kept.get(name) or fitted.predict(name, wishes.data, wishes.data_root, decoded=False))
        labels_of(found[-1])  # without them the other split need not be looked for
    train, test = found
    scores = clusters_as_features(train, test, fitted.config.seed, features=wishes.classify)
    names = [as_printed(name) for name in test.images.class_names]
    say(f"\n{fitted.config.title}, seed {fitted.config.seed}")
    say(render_classifiers(scores, names))
    undrawn: list[str] = []
    if wishes.figures is not None:
        from report.figures import draw_classifiers
        from report.figures.files import say_drawn
        from report.figures.places import figure_folder

        folder = figure_folder(wishes.figures, fitted.path, "test", wishes.data, CHECKPOINTS)
        undrawn = say_drawn(folder, draw_classifiers(scores, test.images.class_names, folder))
    return {f"rf_accuracy_{name}": score.accuracy for name, score in scores.items()}, undrawn
