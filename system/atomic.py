"""Files that are complete or as they were before: temporary file, fsync, rename."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO


def write_atomically(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Let `write` fill a temporary file beside `path`, which then takes its name. Folders are made if need be.

    Raises:
        OSError: when it cannot be written; an older file at `path` is untouched. What `write` raises passes through.
    """
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")  # two runs may write one file
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(temporary, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        _sync_folder(path.parent)
    except BaseException:
        _remove_quietly(temporary)
        raise


def remove_torn(path: Path) -> None:
    """Remove what writers of `path` left behind when they were killed. `path` may be a pattern: `folder/*.pt`."""
    for torn in path.parent.glob(f"{path.name}.*.tmp"):
        _remove_quietly(torn)


def _sync_folder(folder: Path) -> None:
    """Make the rename itself durable, where the system lets folders be synced."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove_quietly(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError:
        return  # the folder itself may have become unwritable; the caller reports that
