"""How well the heads' own loss ranks them: PACE's heads of every run, each scored by the labels after it was trained.

    python -m benchmarks.studies.own_loss checkpoints/*pace*/checkpoint.pt

Heads are restarts of one clustering where `cluster.generations` is 0; under selection the last of them are relatives,
which agree on most images.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import torch
import typer
from scipy.stats import spearmanr

from benchmarks.studies.criteria import SCORES
from benchmarks.studies.restored import restored
from evaluation.agreement import agreement
from evaluation.contingency import contingency
from methods.pace import PACE


def main(checkpoints: Annotated[list[Path], typer.Argument(help="Finished runs of PACE on labelled images.")]) -> None:
    """Print a Markdown table, a row a run; ρ is Spearman's between a score and minus the own loss."""
    columns = [f"{key} of {which}" for key in SCORES for which in ("the chosen", "the best", "all, mean")]
    print(f"| run | {' | '.join((*columns, *(f'ρ with {key}' for key in SCORES)))} |")
    print(f"|---|{'--:|' * (len(columns) + len(SCORES))}")
    for path in checkpoints:
        label, figures = measure(path)
        print(f"| {label} | {' | '.join(figures)} |")


def measure(path: Path) -> tuple[str, list[str]]:
    """A run's name and its figures, in the order of the columns."""
    run = restored(path)
    method = run.method
    if not isinstance(method, PACE) or method.neighbourhood.own_losses is None:
        typer.echo(f"{path} is no finished run of PACE, which alone compares heads by their own loss", err=True)
        raise typer.Exit(1)
    z = method.embed(run.images.images)
    scores = []
    for head in range(len(method.heads.weight)):
        method.head.take(method.heads, head)
        scores.append(agreement(contingency(run.labels, method.assign_embedded(z).labels)))
    losses = method.neighbourhood.own_losses
    figures, ranks = [], []
    for key in SCORES:
        values = torch.tensor([score[key] for score in scores])
        figures += [f"{value:.3f}" for value in (values[losses.argmin()], values.max(), values.mean())]
        ranks.append(f"{spearmanr(-losses, values).statistic:+.2f}")
    return run.name, [*figures, *ranks]


if __name__ == "__main__":
    typer.run(main)
