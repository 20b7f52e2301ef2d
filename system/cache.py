"""Folders for what may be made anew: downloads, and what libraries compile."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
import warnings
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

CACHE_VARIABLE = "DEEP_CLUSTERING_CACHE"
NO_IMAGES_VARIABLE = "DEEP_CLUSTERING_NO_CACHE"
"""Set to anything: images that were read are not kept. A variable, so that commands that are started obey it too."""


def root() -> Path:
    """The project's cache: $DEEP_CLUSTERING_CACHE, or `.cache` in the project's folder."""
    moved = os.environ.get(CACHE_VARIABLE)
    return Path(os.path.expanduser(moved)) if moved else Path(__file__).resolve().parent.parent / ".cache"


def keeps_images() -> bool:
    """Whether images that were read are kept for the next command."""
    return not os.environ.get(NO_IMAGES_VARIABLE)


def keep_no_images() -> None:
    """From here on, in this process and in those that it starts, images that were read are not kept."""
    os.environ[NO_IMAGES_VARIABLE] = "1"


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


def umap_library() -> ModuleType:
    """umap-learn's module `umap_`, whose import takes seconds. The only way to it, for numba needs a folder first.

    Raises:
        OSError: when no folder at all can be written.
    """
    prepare_numba()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Tensorflow not installed", ImportWarning)
        import umap.umap_
    module: ModuleType = umap.umap_
    return module


def prepare_numba() -> None:
    """To be called before what numba compiles is imported.

    numba keeps what it compiles beside the library's files or in the user's home, and fails where neither can be
    written.

    Raises:
        OSError: when no folder at all can be written.
    """
    found = find_spec("umap")
    beside = [] if found is None or found.origin is None else [Path(found.origin).parent / "__pycache__"]
    name_folder("NUMBA_CACHE_DIR", "numba", beside)
    import numba

    numba.config.reload_config()  # type: ignore[no-untyped-call]  # it may have been imported before


def prepare_matplotlib() -> None:
    """To be called before matplotlib is imported, which makes up a folder and complains where there is no home.

    Raises:
        OSError: when no folder at all can be written.
    """
    homes = {"XDG_CONFIG_HOME": "~/.config", "XDG_CACHE_HOME": "~/.cache"}
    usual = [Path(os.path.expanduser(os.environ.get(name) or home)) / "matplotlib" for name, home in homes.items()]
    name_folder("MPLCONFIGDIR", "matplotlib", usual)
