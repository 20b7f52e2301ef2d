"""DEC, IDEC, DipDECK and VaDE beside ClustPy: the same images, network, epochs and batch, timed in one run, in turns.

    python -m venv ../clustpy && ../clustpy/bin/pip install clustpy torchvision
    python -m benchmarks.speed.beside_clustpy ../clustpy/bin/python

Each run is a process of its own, ClustPy's of benchmarks/speed/clustpy_peer.py, ours of train.py with --no-share: no
phase comes from an earlier run. Who goes first changes from one seed of a command to the next. Both have as many
threads as this process, which OMP_NUM_THREADS sets, the same float32 pixels, Adam at 1e-3 and then 1e-4, and 20 starts
of KMeans (VaDE: 10 of a diagonal mixture). One evaluator scores both. The summary is Markdown on stdout; what differs
is in docs/benchmarks.md.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Annotated

import numpy as np
import torch
import typer
from jaxtyping import Float, Int64
from torch import Tensor

from benchmarks.studies.spread import spread
from configs.load import ConfigError
from configs.schema import RunConfig
from data.image_set import DataError, ImageSet
from data.prepare import prepare
from engine.checkpoint import read_checkpoint
from evaluation.agreement import agreement
from evaluation.contingency import contingency
from methods.dipdeck import DipDECKConfig
from methods.joint import JointConfig
from methods.resolve import resolve_config
from models.normalise import Normalise, unit_pixels

ROOT = Path(__file__).resolve().parents[2]
PEER = Path(__file__).with_name("clustpy_peer.py")
PEER_TITLE = "ClustPy"
MIXED = "runtime.precision=bf16-mixed"
SCORES = ("acc", "nmi", "ari")
FOUND = "k"
"""The number of clusters that have images."""
OURS = ("matched", "defaults")
"""ClustPy's settings and network, or those of configs/<method>.yaml."""

OWN_SETTINGS: dict[str, Sequence[str]] = {
    "dec": ("pixels=standardised", "initialise.redos=20"),
    "idec": ("pixels=standardised", "initialise.redos=20"),
    "dipdeck": ("pixels=standardised", "initialise.redos=20"),
    # ClustPy pretrains VaDE's network as a plain autoencoder, on the cross-entropy of pixels from 0 to 1.
    "vade": ("pixels=unit", "pretrain.beta=0", "pretrain.sample=false", "initialise.redos=10"),
}
"""The methods that both have, and what each needs besides `matched` to do as ClustPy does."""


def latent(method: str) -> int:
    """d: DipDECK's as ClustPy ships it and as in its paper, for all others ten as in DEC's."""
    return 5 if method == "dipdeck" else 10


def matched(method: str, epochs: int, batch: int) -> list[str]:
    """The settings that make our run ClustPy's: network, epochs, batch, optimiser, and no stop before the end."""
    return [
        f"model={{name: dense, latent: {latent(method)}, hidden: [500, 500, 2000], init: uniform}}",
        f"pretrain.epochs={epochs}",
        "pretrain.min_steps=0",
        *([f"cluster.epochs={epochs}"] if method == "dipdeck" else [f"cluster.max_epochs={epochs}", "cluster.tol=0"]),
        "cluster.min_steps=0",
        f"pretrain.batch_size={batch}",
        "pretrain.optimiser={name: adam, learning_rate: 0.001}",
        f"cluster.batch_size={batch}",
        "cluster.optimiser={name: adam, learning_rate: 0.0001}",
        *OWN_SETTINGS[method],
    ]


def sides_of(
    method: str, kinds: Sequence[str], as_theirs: Sequence[str], subset: Sequence[str], mixed: bool
) -> dict[str, Sequence[str]]:
    """By title, what --set changes in each of our runs of `method`."""
    by_kind = {"matched": ("ours, matched", as_theirs), "defaults": (f"ours, {method}.yaml", subset)}
    sides = dict(by_kind[kind] for kind in kinds)
    if mixed:
        sides |= {f"{title}, bf16-mixed": [*settings, MIXED] for title, settings in sides.items()}
    return sides


def main(
    peer: Annotated[Path, typer.Argument(help="The python of an environment with clustpy and torchvision.")],
    methods: Annotated[str, typer.Option(help=f"Of {', '.join(OWN_SETTINGS)}, with commas.")] = ",".join(OWN_SETTINGS),
    seeds: Annotated[str, typer.Option(help="With commas.")] = "0",
    epochs: Annotated[int, typer.Option(help="Of pretraining, and again of clustering.")] = 10,
    batch: int = 256,
    data: Annotated[str, typer.Option(help="A data set's name or path; its train split.")] = "fashion-mnist",
    images: Annotated[int | None, typer.Option(help="Draw so many; all if not given.")] = None,
    more: Annotated[list[str] | None, typer.Option("--set", help="A setting of our matched run.")] = None,
    ours: Annotated[
        str,
        typer.Option(
            help=f"Which of ours, with commas: {', '.join(OURS)}. Default configs take as many steps of few images."
        ),
    ] = "matched,defaults",
    mixed: Annotated[
        bool,
        typer.Option(
            help="Run each of ours in bf16-mixed as well, which ClustPy has not: processors with AVX512-BF16 or AMX."
        ),
    ] = False,
    out: Annotated[Path, typer.Option(help="Folder for checkpoints, outcomes and logs.")] = Path(
        "checkpoints/beside-clustpy"
    ),
) -> None:
    """Run ClustPy and ours for every seed and method, and print the summary."""
    subset = [] if images is None else [f"data.subset={images}"]
    names = [name.strip() for name in methods.split(",")]
    numbers = [int(seed) for seed in seeds.split(",")]
    kinds = [kind.strip() for kind in ours.split(",")]
    if unknown := [name for name in names if name not in OWN_SETTINGS]:
        raise typer.BadParameter(f"{', '.join(unknown)}: both have {', '.join(OWN_SETTINGS)}.", param_hint="--methods")
    if unknown := [kind for kind in kinds if kind not in OURS]:
        raise typer.BadParameter(f"{', '.join(unknown)}: of {', '.join(OURS)}.", param_hint="--ours")
    as_theirs = {name: [*matched(name, epochs, batch), *(more or []), *subset] for name in names}
    sides = {name: sides_of(name, kinds, as_theirs[name], subset, mixed) for name in names}
    out = out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    runs: list[Run] = []
    try:
        # All that can be wrong is found out before the first of the long runs.
        peer = checked(peer)
        for name in names:
            for settings in sides[name].values():
                configured(name, settings, data, numbers[0])
        for turn, seed in enumerate(numbers):
            for name in names:
                config = configured(name, as_theirs[name], data, seed)
                train = prepare(config.data, "train", seed)
                titles = [PEER_TITLE, *sides[name]]
                for title in titles[turn % len(titles) :] + titles[: turn % len(titles)]:
                    if title == PEER_TITLE:
                        run = run_peer(peer, config, train, epochs, batch, out)
                    else:
                        run = run_ours(name, title, sides[name][title], data, seed, train, out)
                    typer.echo(f"{name}, seed {seed}: {run}", err=True)
                    runs.append(run)
    except (ConfigError, DataError, RunError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from error
    print_summary(runs, f"{data}, {len(train):,} images, {epochs} + {epochs} epochs, batch {batch}, seeds {seeds}")


class RunError(Exception):
    """A run that failed. The message is for the person who started it."""


@dataclass(frozen=True)
class Run:
    """One finished run.

    Attributes:
        method: its name.
        title: whose run it is.
        whole: seconds of the whole command, from its start to its end.
        fit: seconds of the training alone; ClustPy's include its two last assignments, ours none.
        scores: by the name of the clusters scored ("" for the run's only ones), acc, nmi, ari and k.
        software: what computed, and on how many threads.
    """

    method: str
    title: str
    whole: float
    fit: float
    scores: Mapping[str, Mapping[str, float]]
    software: str

    def __str__(self) -> str:
        shown = [
            " ".join([name, *(f"{key} {s[key]:.3f}" for key in SCORES), f"{FOUND} {s[FOUND]:.0f}"])
            for name, s in self.scores.items()
        ]
        return f"{self.title}: {self.whole:.1f} s, training {self.fit:.1f} s; {'; '.join(shown).strip()}"


def checked(peer: Path) -> Path:
    """`peer`, made absolute.

    Raises:
        RunError: when it is no python that has ClustPy.
    """
    # Not resolved: a virtual environment's python is a link, and knows its packages by the link's place.
    peer = peer.absolute()
    try:
        subprocess.run([peer, "-I", PEER, "--help"], check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError) as error:
        reason = (getattr(error, "stderr", "") or str(error)).strip().splitlines()[-1]
        raise RunError(
            f"{peer} cannot run ClustPy: {reason}. Make an environment that can, and give its python:\n"
            "  python -m venv ../clustpy && ../clustpy/bin/pip install clustpy torchvision"
        ) from error
    return peer


def configured(method: str, settings: Sequence[str], data: str, seed: int) -> JointConfig:
    """The config of our run.

    Raises:
        ConfigError: when a setting is not valid.
    """
    config: RunConfig = resolve_config(method, None, settings, {"data.name": data, "seed": seed})
    assert isinstance(config, JointConfig), f"{method} is no joint method"
    return config


def run_peer(peer: Path, ours: JointConfig, train: ImageSet, epochs: int, batch: int, out: Path) -> Run:
    """ClustPy on the pixels that our run sees."""
    place = out / f"{ours.method}-s{ours.seed}-clustpy"
    outcome = place.with_suffix(".npz")
    with TemporaryDirectory() as folder:
        file = Path(folder) / "points.npy"
        np.save(file, pixels(train, ours).numpy())
        arguments = [ours.method, file, outcome, "--epochs", epochs, "--batch", batch, "--seed", ours.seed]
        start = ours.cluster.start if isinstance(ours, DipDECKConfig) else ours.clusters
        arguments += ["--clusters", start, "--latent", latent(ours.method)]
        whole = timed([peer, "-I", PEER, *arguments], place.with_suffix(".log"))
    with np.load(outcome) as arrays:
        last = "mixture" if ours.method == "vade" else "KMeans"
        scores = {
            "its own clusters": scored(train, torch.from_numpy(arrays["own"])),
            f"after a last {last}": scored(train, torch.from_numpy(arrays["final"])),
        }
        if ours.method == "dipdeck":  # which has no last KMeans
            scores = {"": scores["its own clusters"]}
        software = f"{arrays['software']}, {arrays['threads']} threads"
        return Run(ours.method, PEER_TITLE, whole, float(arrays["seconds"]), scores, software)


def run_ours(method: str, title: str, settings: Sequence[str], data: str, seed: int, train: ImageSet, out: Path) -> Run:
    """train.py as a person calls it."""
    side = title.removeprefix("ours, ").replace(".yaml", "").replace(", ", "-").replace(" ", "-")
    place = out / f"{method}-s{seed}-{side}"
    command = [sys.executable, "train.py", "--method", method, "--data", data, "--seed", seed, "--device", "cpu"]
    command += [part for setting in settings for part in ("--set", setting)]
    whole = timed([*command, "--no-share", "--overwrite", "--out", place], place.with_suffix(".log"))
    checkpoint = read_checkpoint(place / "checkpoint.pt")
    assert checkpoint.assignments is not None, "train.py ended well, so that it has assigned"
    software = f"ours, torch {checkpoint.environment['torch']}, {checkpoint.environment['threads']} threads"
    fit = sum(checkpoint.loop.seconds.values())
    return Run(method, title, whole, fit, {"": scored(train, checkpoint.assignments)}, software)


def timed(command: Sequence[object], log: Path) -> float:
    """Seconds of a command, which writes to `log`.

    Raises:
        RunError: when it fails.
    """
    threads = str(torch.get_num_threads())
    environment = {**os.environ, "OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads}
    with log.open("w") as file:
        begin = time.perf_counter()
        done = subprocess.run([str(part) for part in command], cwd=ROOT, env=environment, stdout=file, stderr=file)
        seconds = time.perf_counter() - begin
    if done.returncode:
        lines = "\n".join(log.read_text(errors="replace").splitlines()[-10:])
        raise RunError(f"{' '.join(map(str, command))}\nended with code {done.returncode}; the end of {log}:\n{lines}")
    return seconds


def pixels(train: ImageSet, config: JointConfig) -> Float[Tensor, "n d"]:
    """The images as our run's network sees them, one row each."""
    normalise = Normalise(train.images.shape[1])
    if config.pixels == "standardised":
        normalise.fit(train.images)
    return normalise.standardise(unit_pixels(train.images)).flatten(1)


def scored(train: ImageSet, clusters: Int64[Tensor, " n"]) -> dict[str, float]:
    """Agreement with the classes, nan without them; and how many clusters there are."""
    found = float((torch.bincount(clusters) > 0).sum())
    if train.labels is None:
        return {**dict.fromkeys(SCORES, float("nan")), FOUND: found}
    scores = agreement(contingency(train.labels, clusters))
    return {**{name: scores[name] for name in SCORES}, FOUND: found}


def print_summary(runs: Sequence[Run], head: str) -> None:
    """Mean ± sd over the seeds; how many times as fast: the median of the seeds' ratios."""
    print(f"{head}; {'; '.join(dict.fromkeys(run.software for run in runs))}.\n")
    print("| method | run | command s | training s | times as fast: command | training | ACC | NMI | ARI | k |")
    print("|---|---|--:|--:|--:|--:|--:|--:|--:|--:|")
    for method in dict.fromkeys(run.method for run in runs):
        by_title: dict[str, list[Run]] = {}
        for run in runs:
            if run.method == method:
                by_title.setdefault(run.title, []).append(run)
        theirs = by_title[PEER_TITLE]
        for title in sorted(by_title, key=lambda t: t != PEER_TITLE):
            group = by_title[title]
            cells = [spread([r.whole for r in group], 1), spread([r.fit for r in group], 1)]
            cells.append(f"{median(t.whole / o.whole for t, o in zip(theirs, group, strict=True)):.2f}")
            cells.append(f"{median(t.fit / o.fit for t, o in zip(theirs, group, strict=True)):.2f}")
            for name in group[0].scores:
                full = f"{title}, {name}" if name else title
                quality = [spread([r.scores[name][key] for r in group], 3) for key in SCORES]
                quality.append(spread([r.scores[name][FOUND] for r in group], 1))
                print("| " + " | ".join([method, full, *cells, *quality]) + " |")
                cells = [""] * len(cells)  # the same run, and its other clusters


if __name__ == "__main__":
    typer.run(main)
