"""Rows of results, and the formats in which they are printed and written.

A row belongs to one checkpoint and one split. A format is a function from rows to text in `FORMATS`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from evaluation.predictions import EvaluationError
from report.aggregate import REPORTED
from report.formats import render_as, render_csv, render_json, render_latex, render_markdown
from report.reported import render_reported
from report.rows import BETWEEN_NOTES, MIXED, Row, Value, value
from report.terminal import render_terminal
from system.atomic import write_atomically

FORMATS: dict[str, Callable[[Sequence[Row]], str]] = {
    "table": render_terminal,
    "markdown": render_markdown,
    "csv": render_csv,
    "json": render_json,
    "latex": render_latex,
}

BESIDE = {
    "table": "\nBeside the reports",
    "markdown": "## Beside the reports",
    "latex": r"\section*{Beside the reports}",
}
"""What stands above the reported figures, in the formats that show them apart."""


APART = {"table": "{}", "markdown": "## {}", "latex": r"\section*{{{}}}"}
"""How what stands above such rows is set, in the formats that show them apart; programs have columns for it."""
TOLD = {"outside_data": "a network or features of others", "known": "known labels"}
"""By the key that says so, what a run had besides the images. Rows of runs that had it never stand among others."""


@dataclass(frozen=True)
class RunFacts:
    """What is known of a run without looking at an image.

    Attributes:
        title: what the run is called: its own name, or the method's.
        method: the method's name.
        k_asked: the number of clusters in the config; None where the method finds it itself.
        seed: the run's seed.
        seconds: by phase, in the order in which they ran.
        images_per_second: in the last phase that was trained, or None where none was.
        threads: of the processor, during the fit.
        device: on which it was fitted.
        peak_memory: of the fit, in MiB.
        checkpoint: the file's path; None for a run in memory.
        notes: what must be said of it: subsets, extensions to new images.
        known: of how many training images something was known, "600 of 60,000"; None where of none.
        outside_data: of others, on which a network was pretrained; None where all was learned from the images.
        report: the published report and its system that the run reproduces, "A: KMeans, PCA 90 %"; None for none.
    """

    title: str
    method: str
    k_asked: int | None
    seed: int
    seconds: Mapping[str, float]
    images_per_second: float | None
    threads: int
    device: str
    peak_memory: float
    checkpoint: str | None
    notes: Sequence[str] = ()
    known: str | None = None
    outside_data: str | None = None
    report: str | None = None


def make_row(
    run: RunFacts, metrics: Mapping[str, Value], data: str, split: str, fitted: int, reported: Mapping[str, float]
) -> Row:
    """The row of one checkpoint and split.

    Args:
        run: what was fitted, and what it took.
        metrics: what `evaluation.evaluate.evaluate` returned.
        data: the data set's name or path.
        split: "train", "test" or "all".
        fitted: to how many of these very images the method was fitted: all (transductive), none (held out), or some
            (mixed).
        reported: figures that a published report gives for the split, by the metrics' names.
    """
    notes = list(run.notes)
    if protocol(fitted, int(str(metrics["n"]))) == MIXED:
        notes.append(f"{fitted:,} of the {metrics['n']:,} images were fitted to")
    return {
        "title": run.title,
        "method": run.method,
        "data": data,
        "split": split,
        "protocol": protocol(fitted, int(str(metrics["n"]))),
        "seed": run.seed,
        "k_asked": run.k_asked,
        **metrics,
        "seconds": float(sum(run.seconds.values())),
        **{f"seconds_{phase}": duration for phase, duration in run.seconds.items()},
        "images_per_second": run.images_per_second,
        "threads": run.threads,
        "device": run.device,
        "peak_memory_mb": run.peak_memory or None,
        **({} if run.known is None else {"known": run.known}),
        **({} if run.outside_data is None else {"outside_data": run.outside_data}),
        "notes": BETWEEN_NOTES.join(notes) or None,
        "report": run.report,
        **{REPORTED + key: figure for key, figure in reported.items()},
        "checkpoint": run.checkpoint,
    }


def protocol(fitted: int, n: int) -> str:
    """What scores of n images are called of which a method was fitted to so many."""
    if fitted == 0:
        return "held out"
    return "transductive" if fitted == n else MIXED


def render(rows: Sequence[Row], format: str) -> str:
    """`rows` as text, without a newline at the end. Not-a-number and infinity are shown as missing.

    Rows that reproduce a published report stand beside its figures once more, where the format is for people: the
    others hold them as values.

    Raises:
        EvaluationError: a format that is none of `FORMATS`, or no rows.
    """
    text = _apart(rows, format) if format in APART else render_as(format, FORMATS, rows, "checkpoint")
    reports = [row for row in rows if value(row, "report") is not None]
    if not reports or format not in BESIDE:
        return text
    return f"{text}\n\n{BESIDE[format]}\n\n{render_reported(reports, format)}"


def _apart(rows: Sequence[Row], format: str) -> str:
    """A table for rows that had the images alone, and one under a heading for every kind of other rows."""
    kinds: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        kinds.setdefault(tuple(had for key, had in TOLD.items() if value(row, key) is not None), []).append(row)
    parts = []
    for had in sorted(kinds, key=len) or [()]:
        table = render_as(format, FORMATS, kinds.get(had, []), "checkpoint")
        parts.append(f"{APART[format].format('With ' + ' and '.join(had))}\n\n{table}" if had else table)
    return "\n\n".join(parts)


def write(rows: Sequence[Row], format: str, path: str | Path) -> None:
    """Write `rows` to the file `path`, and its folder where there is none yet.

    The file is complete or as it was before: the text goes to a file beside it, which then takes its name.

    Raises:
        EvaluationError: as `render`, or a place that cannot be written.
    """
    text = render(rows, format) + "\n"
    target = Path(path).expanduser().resolve()  # a link stays, what it points to is replaced
    if target.exists() and not target.is_file():
        raise EvaluationError(f"cannot write the results to {path}: it is not a file. Name a file.")
    try:
        write_atomically(target, lambda file: file.write(text.encode()))
    except OSError as error:
        raise EvaluationError(
            f"cannot write the results to {path}: {error.strerror or error}. "
            "Name a file in a folder that you may write to, on a disk with room."
        ) from error
