"""Folders for what may be made anew: downloads, and what libraries compile."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path

CACHE_VARIABLE = "DEEP_CLUSTERING_CACHE"


def root() -> Path:
    """The project's cache: $DEEP_CLUSTERING_CACHE, or `.cache` in the project's folder."""
    moved = os.environ.get(CACHE_VARIABLE)
    return Path(os.path.expanduser(moved)) if moved else Path(__file__).resolve().parent.parent / ".cache"


def name_folder(variable: str, name: str, usual: Iterable[Path]) -> None:
    """Have the environment variable `variable` name a folder that can be written.

    What the user names there is kept if it can be written. Without it, nothing is named where all of the library's
    `usual` folders can be. Otherwise it is `name` in the cache or, where that cannot be written either, a temporary
    folder that goes with the process. A container's user often has no home, and can only read the libraries' files
    and the project's.

    Raises:
        OSError: when there is no folder for temporary files either.
    """
    named = os.environ.get(variable)
    if all(map(can_write, [Path(named)] if named else usual)):
        return
    kept = root() / name
    os.environ[variable] = str(kept if can_write(kept) else _temporary(name))


def can_write(folder: Path) -> bool:
    """Whether files can be made in `folder`, which is made if need be."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def _temporary(name: str) -> Path:
    # A new one each time: others could have put code into one whose name they can guess.
    folder = Path(tempfile.mkdtemp(prefix=f"{name}-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder
