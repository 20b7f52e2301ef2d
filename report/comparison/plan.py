"""What a comparison consists of: every config under every seed, at every point of a grid."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from configs.load import ConfigError, differences, read_written
from configs.schema import RunConfig
from data.image_set import DataError
from data.prepare import splits_to_score
from engine.checkpoint import Checkpoint, read_checkpoint
from engine.errors import CheckpointError
from engine.number_of_clusters import check_clusters, is_open, settled
from engine.run_folder import default_folder, lock_file, other_settings, usual_config
from methods.resolve import resolve_config
from report.comparison.own_images import OwnImages


@dataclass(frozen=True)
class Run:
    """One config under one seed.

    Attributes:
        config: resolved.
        source: the method's name or the config file it came from.
        assignments: "section.key=value" each, on top of it.
        point: the grid's settings, by their dotted path; empty without a grid.
        splits: what is scored.
        kind: what tells it from runs of the same title in messages: "k = 4"; may be empty.
        answers: whether it answers for all images of its split, beside those that it was fitted to.
        place: its folder; None: the default folder of its config.
    """

    config: RunConfig
    source: str
    assignments: tuple[str, ...]
    point: Mapping[str, str]
    splits: tuple[str, ...]
    kind: str = ""
    answers: bool = False
    place: Path | None = None

    @property
    def folder(self) -> Path:
        return self.place or default_folder(self.config)

    @property
    def checkpoint(self) -> Path:
        return self.folder / "checkpoint.pt"

    @property
    def lock(self) -> Path:
        """Held by the command that trains it."""
        return lock_file(self.folder)

    @property
    def name(self) -> str:
        """For messages: "pca-kmeans, seed 0"."""
        return ", ".join(filter(None, (self.config.title, self.kind, f"seed {self.config.seed}")))

    def scores(self, split: str) -> Path:
        """Where the scores of a split stand."""
        return self.folder / f"scores-{split}.json"

    @property
    def clusters_of_all(self) -> Path:
        """Where its answers for all images stand."""
        return self.folder / "clusters.csv"

    def check_folder(self, own: OwnImages) -> None:
        """Make sure that its folder is free or holds this very run, on images that are still the same.

        Args:
            own: the images that configs name.

        Raises:
            ConfigError: when it holds another run.
        """
        written = self.folder / "config.yaml"
        if not written.is_file() or not self.checkpoint.is_file():
            return
        found = read_written(written)
        here = own.fitted(self.config, self.assignments).model_dump(mode="json")
        changed = other_settings(found, here)
        changed += differences({"data": found.get("data", {})}, {"data": here["data"]})
        checkpoint = self.trained() if not changed and own.can_change(self.config) else None
        changed += [] if checkpoint is None else own.changes(self.config, checkpoint)
        if changed:
            raise ConfigError(
                f"{self.folder} holds another run of that name. What differs (there → here):\n  "
                + "\n  ".join(changed)
                + "\nMove that folder away, or give this run a name of its own: --set name=NAME."
            )

    def is_scored(self, split: str) -> bool:
        """Whether the split was scored since the checkpoint was written."""
        return self._is_newer(self.scores(split))

    @property
    def is_complete(self) -> bool:
        """Whether nothing is left to be made."""
        scored = self.checkpoint.is_file() and all(self.is_scored(split) for split in self.splits)
        return scored and (not self.answers or self.has_answered)

    @property
    def has_answered(self) -> bool:
        """Whether its answers for all images were written since the checkpoint was."""
        return self._is_newer(self.clusters_of_all)

    def _is_newer(self, file: Path) -> bool:
        if not file.is_file() or not self.checkpoint.is_file():
            return False
        return file.stat().st_mtime_ns >= self.checkpoint.stat().st_mtime_ns

    def trained(self) -> Checkpoint | None:
        """The finished run in its folder, if there is one."""
        try:
            found = read_checkpoint(self.checkpoint)
        except CheckpointError:
            return None
        return found if found.loop.done else None

    def is_trained(self) -> bool:
        """Whether its folder holds a finished run."""
        return self.trained() is not None


def plan(
    sources: Sequence[str],
    seeds: Sequence[int],
    assignments: Sequence[str],
    grid: Mapping[str, Sequence[str]],
    data: str | None,
    splits: Sequence[str] = (),
    classes: Callable[[RunConfig], Sequence[str]] | None = None,
) -> list[Run]:
    """Every source at every point of the grid under every seed, the seeds innermost.

    In this order runs side by side have different seeds, so that they seldom wait for a phase which they share.

    Args:
        sources: methods' names, or YAML files.
        seeds: of the runs.
        assignments: "section.key=value" for all.
        grid: values by their dotted path.
        data: a data set for all, in place of the configs' own.
        splits: what to score; without them what a config's report scored, or what the method was fitted to.
        classes: the names of the images' classes, for runs on a user's own folder whose k nobody gave.

    Raises:
        ConfigError: when a config is not valid, or two runs would share a folder.
    """
    runs = []
    for source, values, seed in itertools.product(sources, itertools.product(*grid.values()), seeds):
        point = dict(zip(grid, values, strict=True))
        named = [f"{path}={value}" for path, value in point.items()]
        config = resolve_source(source, [*assignments, *named], seed, data)
        if point:
            labels = [f"{path.rpartition('.')[2]}={value}" for path, value in point.items()]
            named.append(f"name={json.dumps(','.join([config.title, *labels]))}")
        settings = [*assignments, *named]
        config = resolve_source(source, settings, seed, data)
        place = folder_of(source, config, named)
        if classes is not None and is_open(config):
            config, _ = settled(config, classes(config), source)
        runs.append(Run(config, source, tuple(settings), point, splits_of(splits, config), place=place))
    refuse_shared_folders(runs)
    return runs


def parse_seeds(text: str) -> tuple[int, ...]:
    """ "5" for the seeds 0 to 4, or "0,3,7"; "3," is the seed 3 alone.

    Raises:
        ConfigError: for anything else.
    """
    try:
        numbers = tuple(int(part) for part in text.removesuffix(",").split(","))
    except ValueError as error:
        raise ConfigError(f"--seeds takes a number of seeds or a list such as 0,3,7; received {text!r}.") from error
    seeds = numbers if "," in text else tuple(range(numbers[0]))
    if not seeds or min(seeds) < 0 or len(set(seeds)) < len(seeds):
        raise ConfigError(f"--seeds takes a number above 0 or a list of different seeds; received {text!r}.")
    return seeds


def parse_grid(texts: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """ "section.key=v1,v2" each.

    Raises:
        ConfigError: when one is not of that form, or names a setting twice.
    """
    grid: dict[str, tuple[str, ...]] = {}
    for text in texts:
        path, equals, values = text.partition("=")
        parts = tuple(part.strip() for part in values.split(","))
        if not equals or not path.strip() or not all(parts):
            raise ConfigError(f"--grid takes section.key=value,value,…; received {text!r}.")
        if path in grid:
            raise ConfigError(f"--grid names {path} twice; give all its values at once.")
        grid[path.strip()] = parts
    return grid


def resolve_source(source: str, settings: Sequence[str], seed: int, data: str | None) -> RunConfig:
    """The config of a method's name or a file, with settings on top.

    Raises:
        ConfigError: when it is not valid.
    """
    config = resolve_config(*_method_or_file(source), settings, {"seed": seed, "data.name": data})
    check_clusters(config, None, settings)
    return config


def folder_of(source: str, config: RunConfig, named: Sequence[str] = ()) -> Path:
    """The folder of a run: `config` is that of `source`, with settings on top. The name tells of all but the `named`.

    Without any it is where `train.py` puts the run.
    """
    return default_folder(config, usual_config(*_method_or_file(source), named))


def _method_or_file(source: str) -> tuple[str | None, Path | None]:
    return (None, Path(source)) if source.endswith((".yaml", ".yml")) else (source, None)


def splits_of(asked: Sequence[str], config: RunConfig) -> tuple[str, ...]:
    own = [None] if config.report is None else config.report.splits
    try:
        found = [splits_to_score(split, config.data.split) for split in asked or own]
    except DataError as error:
        raise ConfigError(f"--split: {error}") from error
    return tuple(dict.fromkeys(itertools.chain.from_iterable(found)))


def refuse_shared_folders(runs: Sequence[Run]) -> None:
    """Make sure that no two runs would write the same folder.

    Raises:
        ConfigError: naming the first two that would.
    """
    seen: dict[Path, Run] = {}
    for run in runs:
        other = seen.setdefault(run.folder, run)
        if other is not run:
            raise ConfigError(
                f"{other.source} and {run.source} would both write {run.folder}: they are called alike. "
                "Give one of them another `name:`."
            )
