"""The folder in which the project keeps what it has fetched, and how files get there: whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from data.places import Unavailable
from system.cache import CACHE_VARIABLE, root


def folder(name: str) -> Path:
    """Where the data set `name` is kept. It need not exist."""
    return root() / "data" / name


@contextmanager
def staging(name: str) -> Iterator[Path]:
    """A temporary folder on the cache's own file system, for files that are still on their way.

    From there `install` moves finished files by renaming them. Raises Unavailable when the disk is full or
    the cache cannot be written.
    """
    try:
        target = folder(name)
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{name}-", dir=target.parent) as temporary:
            yield Path(temporary)
    except OSError as error:
        raise Unavailable(
            f"the cache {root()} cannot be written ({error}); ${CACHE_VARIABLE} moves it elsewhere"
        ) from error


def install(files: Iterable[Path], source: Path, target: Path) -> None:
    """Moves `files`, all below `source`, to the same relative paths below `target`, each atomically."""
    for file in files:
        destination = target / file.relative_to(source)
        destination.parent.mkdir(parents=True, exist_ok=True)
        os.replace(file, destination)
