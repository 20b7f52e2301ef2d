"""Where a run's files stand, and whether two runs are the same."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from configs.schema import RunConfig

LONGEST_NAME = 200
"""Bytes: most file systems end at 255, and temporary files have longer names than what they stand for."""
CHECKPOINTS = Path(__file__).resolve().parent.parent / "checkpoints"


def default_folder(config: RunConfig) -> Path:
    """checkpoints/<data>-<title>-s<seed>, the data's split beside its name unless it is "train"."""
    # realpath, for Path.resolve raises where a link leads back to itself; the data's reader says so.
    data = Path(os.path.realpath(config.data.name)).stem + (
        "" if config.data.split == "train" else f"-{config.data.split}"
    )
    return CHECKPOINTS / _fitting(f"{data}-{config.title}-s{config.seed}")


def _fitting(name: str) -> str:
    """The name or, where it is too long for a file system, its beginning and a number that tells it from others."""
    encoded = name.encode("utf-8", "surrogatepass")  # whatever a config holds
    if len(encoded) <= LONGEST_NAME:
        return name
    begins = encoded[: LONGEST_NAME - 17].decode("utf-8", "ignore")
    return f"{begins}-{hashlib.sha256(encoded).hexdigest()[:16]}"


def lock_file(folder: Path) -> Path:
    """Held by the command that trains into `folder`."""
    return folder / ".lock"


def deciding(config: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that decide a run's outcome; the images themselves are compared by their fingerprint."""
    runtime = {key: value for key, value in config["runtime"].items() if key != "checkpoint_seconds"}
    return {
        **{key: value for key, value in config.items() if key not in ("data", "name", "report")},
        "runtime": runtime,
    }
