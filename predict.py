"""Which image is in which cluster: `python predict.py checkpoint.pt new/pictures`.

The table goes to stdout, or to --output; everything else goes to stderr.
"""

from __future__ import annotations

from system.start import quiet_imports

if __name__ == "__main__":
    quiet_imports()

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from system.command import App, NoCache, leave

if TYPE_CHECKING:
    from evaluation.predictions import Predictions
    from report.answers import Answers
    from report.finished_run import FinishedRun

FORMATS = ("csv", "json", "parquet")

app = App()


@app.command()
def main(
    checkpoint: Annotated[Path, typer.Argument(metavar="CHECKPOINT", help="A file that train.py wrote.")],
    images: Annotated[
        str | None,
        typer.Argument(metavar="[PATH|NAME]", help="New pictures; without it those that the run was fitted to."),
    ] = None,
    format_: Annotated[str, typer.Option("--format", help=f"{', '.join(FORMATS)}.")] = "csv",
    output: Annotated[Path | None, typer.Option(help="Write the table to this file.")] = None,
    sort_into: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Make a folder for each cluster, with links to its images.")
    ] = None,
    copy: Annotated[bool, typer.Option("--copy", help="Copies in place of links, for --sort-into.")] = False,
    gallery: Annotated[Path | None, typer.Option(metavar="DIR", help="Make a page to look at the clusters.")] = None,
    names: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Names of clusters, as a gallery saves them; default: known labels."),
    ] = None,
    onnx: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the network as ONNX: pictures in, probabilities out.")
    ] = None,
    split: Annotated[str | None, typer.Option(help="train, validation, test or all; default: all there is.")] = None,
    data_root: Annotated[Path | None, typer.Option(help="Where the data sets are kept.")] = None,
    no_cache: NoCache = False,
    device: Annotated[str, typer.Option(help="Where networks run: auto, cpu, cuda or mps.")] = "auto",
) -> None:
    """Print the cluster of each image."""
    if format_ not in FORMATS:
        raise leave([f"--format {format_}: formats are {', '.join(FORMATS)}."])
    if format_ == "parquet" and output is None and sys.stdout.isatty():
        raise leave(["--format parquet is for programs, not for a terminal. Add --output FILE."])
    if copy and sort_into is None:
        raise leave(["--copy belongs to --sort-into DIR, which is not given."])
    # Here, where torch and all that stands on it are needed: --help answers without these seconds.
    from engine.memory import keep_freed_memory
    from report.answers import answers, columns
    from report.cluster_names import names_by_known, read_names
    from report.finished_run import PROBLEMS, open_run
    from report.onnx_file import write_onnx
    from report.originals import files_of
    from report.sorting import check_empty
    from report.sorting import sort_into as sort
    from system.streams import say

    keep_freed_memory()
    try:
        if sort_into is not None:
            check_empty(sort_into)  # before minutes are spent
        run = open_run(checkpoint, device)
        called = names_by_known(run.checkpoint) if names is None else read_names(names, run.method.clusters)
        default = run.config.data.split if images is None else "all"
        predictions = run.predict(split or default, images, data_root, decoded=False, scored=False)
        found = answers(predictions, files_of(predictions.images))
    except PROBLEMS as error:
        raise leave([str(error)]) from error
    if predictions.images.was_read is not None:
        say(predictions.images.was_read.line())
    works: list[Callable[[], str | None]] = [lambda: write_table(columns(found, called), format_, output)]
    if sort_into is not None:
        works.append(
            lambda: f"sorted: {sort_into} ({sort(sort_into, found, predictions.images, called, copy):,} images)"
        )
    if onnx is not None:
        works.append(
            lambda: (
                f"network: {onnx} (within {write_onnx(onnx, run.method, predictions.images):.1g} of our probabilities)"
            )
        )
    if gallery is not None:
        works.append(lambda: f"gallery: {make_gallery(gallery, run, predictions, found, called)}")
    problems = []
    for work in works:  # one that fails costs no other
        try:
            done = work()
            if done is not None:
                say(done)
        except PROBLEMS as error:
            problems.append(str(error))
    if problems:
        raise leave(problems, 1)


def write_table(table: Mapping[str, list[str | int | float | None]], format_: str, output: Path | None) -> str | None:
    """Write the table to the file, and tell where it is; or to stdout where none is named."""
    from evaluation.predictions import EvaluationError
    from report.answers import FORMATS as WRITERS
    from system.atomic import write_atomically

    content = WRITERS[format_](table)
    if output is None:
        sys.stdout.flush()
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
        return None
    try:
        write_atomically(output, lambda file: file.write(content))
    except OSError as error:
        raise EvaluationError(f"cannot write {output}: {error.strerror or error}.") from error
    return f"table: {output}"


def make_gallery(
    folder: Path, run: FinishedRun, predictions: Predictions, found: Answers, names: Mapping[int, str]
) -> Path:
    """The page of the clusters."""
    from report.answers import NOISE
    from report.gallery.build import build_gallery
    from system.names import printable

    images = predictions.images
    title = printable(f"Clusters of {Path(images.name).name}")
    k = len(set(found.cluster.tolist()) - {NOISE})
    about = f"{len(images):,} images, {k} cluster{'s' if k != 1 else ''} by {run.config.title}, seed {run.config.seed}."
    return build_gallery(folder, predictions, found, names, title, about)


if __name__ == "__main__":
    app()
