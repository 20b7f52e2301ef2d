"""Where a run's files stand, who may write there, and whether it is the run that stands there already."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from configs.load import differences, to_yaml
from configs.schema import RunConfig
from data.image_set import ImageSet
from engine.checkpoint import Checkpoint, read_checkpoint, write_checkpoint, write_text
from engine.errors import CheckpointError, UsageError
from engine.processes import Processes
from system.atomic import remove_torn
from system.lock import locked
from system.names import printable

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


@contextmanager
def alone(folder: Path, processes: Processes) -> Iterator[None]:
    """Within the block no other command trains into `folder`.

    Raises:
        UsageError: when another one does, or the folder cannot be written.
    """
    with ExitStack() as stack:

        def lock() -> bool:
            return stack.enter_context(locked(lock_file(folder), lambda: False))

        try:
            held = processes.once(lock)
        except OSError as error:
            raise UsageError(f"cannot write into {folder}: {error.strerror}. --out names another folder.") from error
        if not held:
            raise UsageError(f"another command trains into {folder} right now. --out names another folder.")
        yield


def earlier_run(path: Path, config: RunConfig, images: ImageSet, resume: bool, overwrite: bool) -> Checkpoint | None:
    """The checkpoint to go on from, or None to begin.

    Raises:
        UsageError: when a run is there and neither --resume nor --overwrite was given, or it is another run,
            or its checkpoint is damaged.
    """
    try:
        if overwrite or not path.exists():
            return None
    except OSError as error:
        raise UsageError(f"cannot look into {path.parent}: {error.strerror}. --out names another folder.") from error
    if not resume:
        raise UsageError(
            f"{path} holds an earlier run. --resume goes on with it, --overwrite starts anew over it, "
            "--out DIR leaves it alone."
        )
    try:
        checkpoint = read_checkpoint(path)
    except CheckpointError as error:
        raise UsageError(f"--resume: {error} --overwrite starts anew.") from error
    changed = differences(deciding(checkpoint.config), deciding(config.model_dump(mode="json")))
    if checkpoint.data["fingerprint"] != images.fingerprint:
        changed.append(
            f"the images: {checkpoint.data['n']} of fingerprint {checkpoint.data['fingerprint'][:12]} → "
            f"{len(images)} of fingerprint {images.fingerprint[:12]}"
        )
    if changed:
        raise UsageError(
            f"--resume: {path} is another run. What differs (there → here):\n  "
            + "\n  ".join(changed)
            + "\n--overwrite starts anew over it, --out DIR leaves it alone."
        )
    return checkpoint


def list_left_out(folder: Path, images: ImageSet) -> None:
    """Write what was not read, and why, into the run's folder: a line a file in `left_out.txt`.

    Raises:
        CheckpointError: where the folder cannot be written.
    """
    file = folder / "left_out.txt"
    left_out = () if images.was_read is None else images.was_read.left_out
    if left_out:
        write_text(file, "".join(f"{printable(name)}\t{reason}\n" for name, reason in left_out))
    else:
        file.unlink(missing_ok=True)  # of an earlier run


def saver(folder: Path, config: RunConfig) -> Callable[[Checkpoint], None]:
    """What writes a run's checkpoints into its folder, at the first of them its config beside it.

    Raises:
        CheckpointError: when called, where the folder cannot be written.
    """
    path, begun = folder / "checkpoint.pt", False

    def save(checkpoint: Checkpoint) -> None:
        nonlocal begun
        if not begun:
            remove_torn(path)
            write_text(folder / "config.yaml", to_yaml(config))
            begun = True
        write_checkpoint(path, checkpoint)

    return save
