"""Libraries that want a folder to write to, and fail or complain where the user has no home."""

from __future__ import annotations

import os
import warnings
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

from storage.cache import name_folder


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
