"""Looking at files and folders so that what may not be looked at is never taken for absent, and why that failed.

`Path.is_file` and its kin answer False for some of what they cannot see, and which of it differs by Python's version.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

LONGEST = 200  # of a library's text within a message


def is_file(path: Path) -> bool:
    """Whether there is a file, directly or by a link. Raises OSError where that cannot be told."""
    return stat.S_ISREG(_mode(path))


def is_folder(path: Path) -> bool:
    """Whether there is a folder, directly or by a link. Raises OSError where that cannot be told."""
    return stat.S_ISDIR(_mode(path))


def exists(path: Path) -> bool:
    """Whether there is anything. Raises OSError where that cannot be told."""
    return _mode(path) != 0


def files_below(folder: Path) -> Iterator[Path]:
    """All that is no folder, in `folder` and in the folders below it. Raises OSError for one that cannot be listed."""
    for where, _, names in os.walk(folder, onerror=_raise):
        yield from (Path(where) / name for name in names)


def reason(error: BaseException, named: Path | None = None) -> str:
    """Why something could not be read, in one short line; with the file's name where it is not the one `named`."""
    if isinstance(error, OSError) and error.strerror:
        of_another = error.filename is not None and str(error.filename) != str(named)
        return f"{shortened(str(error.filename))}: {error.strerror}" if of_another else error.strerror
    return shortened(" ".join(str(error).split())) or type(error).__name__


def shortened(text: str) -> str:
    """The text, or where it is long its beginning."""
    return text if len(text) <= LONGEST else f"{text[: LONGEST // 2]} … ({len(text):,} characters)"


def _mode(path: Path) -> int:
    try:
        return os.stat(path).st_mode
    except (FileNotFoundError, NotADirectoryError):
        return 0


def _raise(error: OSError) -> NoReturn:
    raise error
