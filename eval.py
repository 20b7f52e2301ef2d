"""Score checkpoints: `python eval.py checkpoint.pt`. Several checkpoints: one row each.

The table goes to stdout, or to --output; everything else goes to stderr.
"""

from __future__ import annotations

from system.start import quiet_imports

if __name__ == "__main__":
    quiet_imports()

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from report.format_names import FORMATS
from system.command import App, NoCache, leave

if TYPE_CHECKING:
    from collections.abc import Mapping

    from report.rows import Row

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
    # Here, where torch and all that stands on it are needed: --help answers without these seconds.
    from data.prepare import SPLITS
    from engine.memory import keep_freed_memory
    from evaluation.classify import check_features
    from evaluation.predictions import EvaluationError
    from report.aggregate import over_seeds, told_apart
    from report.formats import for_stdout
    from report.scoring import Wishes, save, score_checkpoint
    from report.table import render

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


if __name__ == "__main__":
    app()
