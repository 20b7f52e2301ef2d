"""How many clusters a run has where the user did not say."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from configs.load import ConfigError
from configs.schema import RunConfig
from data.sources import names

FEWEST = 2


def is_open(config: RunConfig) -> bool:
    """Whether k is still to be told: the images are the user's own, and neither an option nor a file gives it."""
    return not config.finds_clusters and "clusters" not in config.model_fields_set and config.data.name not in names()


def check_clusters(config: RunConfig, clusters: int | None, assignments: Sequence[str]) -> None:
    """Refuse a number of clusters that was asked of a method which finds its own.

    Args:
        config: resolved.
        clusters: as --clusters has it.
        assignments: "section.key=value" each.

    Raises:
        ConfigError: naming what to leave out.
    """
    asked = [f"--set {text}" for text in assignments if text.partition("=")[0].strip() == "clusters"]
    asked += [] if clusters is None else [f"--clusters {clusters}"]
    if config.finds_clusters and asked:
        raise ConfigError(f"{config.method} finds the number of clusters itself: leave {' and '.join(asked)} out.")


def settled(config: RunConfig, classes: Sequence[str], source: str) -> tuple[RunConfig, str]:
    """The config with as many clusters as the user's folder has sub-folders, and the note that says so.

    Sub-folders are a grouping that the user made. Labels within files are for scoring alone: they give no k.

    Args:
        config: whose k is open.
        classes: the classes' names; empty without labels.
        source: the method's name or the config file, for the command that the message shows.

    Raises:
        ConfigError: where there are not at least two sub-folders, with the command that compares several k.
    """
    data = config.data.name
    k = len(classes) if set(classes) <= set(_subfolders(Path(data).expanduser())) else 0
    if k < FEWEST:
        raise ConfigError(
            f"how many clusters? {data} is not sorted into sub-folders that could be counted: add --clusters K. "
            f'This shows what speaks for which k:\n  python compare.py {source} --data "{data}" --k 2-12'
        )
    # Validated, for other settings may go with k.
    found = type(config).model_validate({**config.model_dump(), "clusters": k})
    return found, f"k = {k}, the number of sub-folders: the user's own grouping"


def _subfolders(folder: Path) -> Iterator[str]:
    """The names of folders in it and, since splits are folders too, one level below."""
    if not folder.is_dir():
        return
    for inner in filter(Path.is_dir, folder.iterdir()):
        yield inner.name
        if os.access(inner, os.R_OK | os.X_OK):
            yield from (below.name for below in inner.iterdir() if below.is_dir())
