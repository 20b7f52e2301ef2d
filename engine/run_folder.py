"""Where a run's files stand, and whether two runs are the same."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from configs.schema import RunConfig

CHECKPOINTS = Path(__file__).resolve().parent.parent / "checkpoints"


def default_folder(config: RunConfig) -> Path:
    """checkpoints/<data>-<title>-s<seed>, the data's split beside its name unless it is "train"."""
    data = Path(config.data.name).resolve().stem + ("" if config.data.split == "train" else f"-{config.data.split}")
    return CHECKPOINTS / f"{data}-{config.title}-s{config.seed}"


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
