"""A comparison of numbers of clusters: which runs it takes, and what they say of every k.

Every k is fitted under several seeds to all images, and to random halves of them. How much two answers for all images
agree is their adjusted Rand index.
"""

from __future__ import annotations

import csv
import itertools
import json
import re
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Int64
from torch import Tensor

from configs.load import ConfigError
from configs.schema import RunConfig
from data.feature_files import feature_facts
from engine.checkpoint import read_checkpoint
from engine.errors import CheckpointError
from evaluation.agreement import adjusted_rand_index
from evaluation.contingency import contingency
from methods.outside_data import feature_files
from report.comparison.plan import Run, folder_of, refuse_shared_folders, resolve_source
from report.rows import BETWEEN_NOTES, CRITERIA, SD, Row, Value, value

FEWEST_HALVES = 2
INTERNAL = ("silhouette", "davies_bouldin", "calinski_harabasz")
AGREEMENT = ("acc", "nmi", "ari")
WATCH_ONLY = "watch_only_"
"""Before the keys of what labels say: people may look at it, no advice does."""
MOST = 200
"""Values of k in one call: a slip of the finger must not start a million runs."""

Labels = Int64[Tensor, " n"]


@dataclass(frozen=True)
class Tried:
    """One k of one method.

    Attributes:
        k: the number of clusters; None where the method finds it.
        whole: the runs on all images, one a seed.
        halves: the runs on halves, of other seeds.
        without_halves: why there are none, for people; empty where there are some.
    """

    k: int | None
    whole: tuple[Run, ...]
    halves: tuple[Run, ...]
    without_halves: str = ""

    @property
    def runs(self) -> tuple[Run, ...]:
        return (*self.whole, *self.halves)


def parse_k(text: str) -> tuple[int, ...]:
    """ "4,6,8,12", "2-20" or "2-20:2", ascending.

    Raises:
        ConfigError: for anything else, for a k below 2, and for more than `MOST`.
    """
    found: set[int] = set()
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d{1,6})(?:\s*-\s*(\d{1,6})(?:\s*:\s*(\d{1,6}))?)?\s*", part)
        first, last, step = (None, None, None) if match is None else match.groups()
        if first is None or int(first) < 2 or int(last or first) < int(first) or (step is not None and int(step) == 0):
            raise ConfigError(f"--k takes numbers from 2 on: 4,6,8,12 or 2-20 or 2-20:2; received {text!r}.")
        found |= set(range(int(first), int(last or first) + 1, int(step or 1)))
    if len(found) > MOST:
        raise ConfigError(
            f"--k {text}: {len(found):,} numbers; at most {MOST} are tried at once. A step helps: 2-20:2."
        )
    return tuple(sorted(found))


def plan_over_k(
    sources: Sequence[str],
    ks: Sequence[int],
    seeds: Sequence[int],
    assignments: Sequence[str],
    data: str | None,
    count: Callable[[RunConfig], int],
) -> list[Tried]:
    """Every source with every k, the seeds innermost; a method that finds k itself once.

    Args:
        sources: methods' names, or YAML files.
        ks: ascending.
        seeds: of the runs on all images. Halves have the seeds that follow, as many but at least two.
        assignments: "section.key=value" for all.
        data: a data set for all, in place of the configs' own.
        count: how many images a config's runs are fitted to.

    Raises:
        ConfigError: when a config is not valid, or the assignments give k as well.
    """
    if any(text.partition("=")[0].strip() == "clusters" for text in assignments):
        raise ConfigError("--k gives the numbers of clusters: leave --set clusters out.")
    tried = []
    for source in sources:
        base = resolve_source(source, assignments, seeds[0], data)
        n = count(base)
        for k in (None,) if base.finds_clusters else ks:
            settings = [*assignments, *(() if k is None else (f"clusters={k}",))]
            # Under a subset or a held-out share every seed is fitted to other images: then runs answer for all.
            apart = bool(base.data.subset or base.data.validation)
            whole = tuple(_run(source, settings, seed, data, k, (base.data.split,), apart) for seed in seeds)
            half = n // 2
            if reason := _without_halves(base, n, k):
                tried.append(Tried(k, whole, (), reason))
                continue
            later = range(max(seeds) + 1, max(seeds) + 1 + max(FEWEST_HALVES, len(seeds)))
            of_half = [*settings, f"data.subset={half}"]
            tried.append(Tried(k, whole, tuple(_run(source, of_half, seed, data, k, (), True) for seed in later)))
    refuse_shared_folders([run for one in tried for run in one.runs])
    return tried


def _without_halves(config: RunConfig, n: int, k: int | None) -> str:
    """Why halves of the images cannot be fitted to; empty where they can."""
    if n // 2 < (k or 2):
        return f"half of {n} images is fewer than {k or 2} clusters"
    if isinstance(config.known, str):
        return "the file of known labels is of all images"
    nameless = [file.name for file in feature_files(config) if not feature_facts(file).named]
    return f"{nameless[0]} does not name its rows, so it is of all images" if nameless else ""


def _run(
    source: str,
    settings: Sequence[str],
    seed: int,
    data: str | None,
    k: int | None,
    splits: tuple[str, ...],
    all_: bool,
) -> Run:
    config = resolve_source(source, settings, seed, data)
    kind = ", ".join([*([] if k is None else [f"k = {k}"]), *([] if splits else ["on a half"])])
    return Run(config, source, tuple(settings), {}, splits, kind, all_, folder_of(source, config))


def row_of(tried: Tried, failures: Mapping[str, str]) -> Row:
    """What the runs of one k say, see `summary`; what went wrong stands in the notes.

    Args:
        tried: its runs, which need not all be there.
        failures: by the runs' names, what went wrong.
    """
    notes = [tried.without_halves] if tried.without_halves else []
    answers: dict[str, list[Labels]] = {}
    for name, runs in (("seeds", tried.whole), ("halves", tried.halves)):
        answers[name] = []
        for run in filter(lambda run: run.is_complete, runs):
            try:
                answers[name].append(answer_for_all(run))
            except (CheckpointError, OSError, ValueError) as error:
                notes.append(f"{run.name}: no answers ({error})")
    failed = [failures[run.name] for run in tried.runs if run.name in failures]
    if failed:
        notes.append(f"{len(failed)} of {len(tried.runs)} runs failed: {failed[0].splitlines()[0]}")
    scored = [json.loads(run.scores(run.splits[0]).read_text("utf-8")) for run in tried.whole if run.is_complete]
    config = tried.whole[0].config
    what = {"title": config.title, "data": config.data.name, "split": config.data.split}
    return {**what, **summary(tried.k, scored, answers["seeds"], answers["halves"], notes)}


def summary(
    k: int | None, scored: Sequence[Row], seeds: Sequence[Labels], halves: Sequence[Labels], notes: Sequence[str] = ()
) -> dict[str, Value]:
    """The row of one k: means over the seeds, and the stability.

    `stability_seeds` and `stability_halves` are mean ARI of every two answers, with their deviations in `<key>_sd`.
    `silhouette`, `davies_bouldin` and `calinski_harabasz` are those of `space`, which no cluster has shaped; with
    "_trained" behind it, those of a space that was trained for the clusters, which is no evidence. What labels say
    begins with "watch_only_".

    Args:
        k: as it was asked for; None where the method finds it.
        scored: the rows of `eval.py`, one a seed.
        seeds: the answers for all images, one a seed.
        halves: the answers for all images by what was fitted to halves.
        notes: what must be said of the row.
    """
    found = sorted({int(value(row, "k") or 0) for row in scored})
    own = [f"finds k itself: {', '.join(map(str, found))}"] if k is None and found else []
    row: dict[str, Value] = {
        "n": next((row["n"] for row in scored), None),
        "k": found[0] if k is None and len(found) == 1 else k,
        "runs": len(seeds),
        "halves": len(halves),
    }
    row |= {**_stability("seeds", seeds), **_stability("halves", halves)}
    pretrained = any(value(one, "silhouette_pretrained") is not None for one in scored)
    for key in INTERNAL:
        row[key] = _mean(scored, f"{key}_pretrained" if pretrained else key)
    row["space"] = next((str(one["silhouette_space"]) for one in scored), None)
    if pretrained:
        row |= {f"{key}_trained": _mean(scored, key) for key in INTERNAL}
        row |= {"space": f"pretrained {row['space']}", "space_trained": row["space"]}
    row |= {column.key: _mean(scored, column.key) for column in CRITERIA}
    for key, extreme in (("size_min", min), ("size_max", max)):
        row[key] = extreme((int(value(one, key) or 0) for one in scored), default=None)
    row["seconds"] = _mean(scored, "seconds")
    row |= {WATCH_ONLY + key: _mean(scored, key) for key in AGREEMENT}
    row["notes"] = BETWEEN_NOTES.join([*own, *notes]) or None
    return row


def _stability(name: str, answers: Sequence[Labels]) -> dict[str, Value]:
    agreements = agreements_of(answers)
    return {
        f"stability_{name}": statistics.fmean(agreements) if agreements else None,
        f"stability_{name}{SD}": statistics.stdev(agreements) if len(agreements) > 1 else None,
    }


def answer_for_all(run: Run) -> Labels:
    """The cluster of every image of the run's split; noise is one more cluster.

    Raises:
        CheckpointError: where a checkpoint cannot be read.
        OSError: where its answers cannot.
        ValueError: where they hold no cluster for an image.
    """
    if not run.answers:
        assignments = read_checkpoint(run.checkpoint).assignments
        if assignments is None:
            raise ValueError("its run is not finished")
        return assignments
    return _clusters_in(run.clusters_of_all)


def _clusters_in(file: Path) -> Labels:
    with open(file, encoding="utf-8", errors="surrogateescape", newline="") as lines:
        labels = torch.tensor([int(row["cluster"]) for row in csv.DictReader(lines)])
    return labels - min(0, int(labels.min()))  # noise is -1


def agreements_of(answers: Sequence[Labels]) -> list[float]:
    """ARI of every two of the answers for the same images; 0 where both tell nothing apart.

    By convention the ARI of one cluster with one cluster is 1. So runs that all collapse would be the most stable.
    """
    return [
        0.0 if tells_nothing(one) and tells_nothing(other) else adjusted_rand_index(contingency(one, other))
        for one, other in itertools.combinations(answers, 2)
    ]


def tells_nothing(answer: Labels) -> bool:
    """Whether all images are in one cluster."""
    return bool(answer.min() == answer.max())


def _mean(rows: Sequence[Row], key: str) -> float | None:
    """Over the rows, which all must have a value."""
    found = [value(row, key) for row in rows]
    numbers = [float(number) for number in found if isinstance(number, int | float)]
    return statistics.fmean(numbers) if numbers and len(numbers) == len(rows) else None
