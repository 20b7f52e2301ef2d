"""Where a run's files stand, who may write there, and whether it is the run that stands there already."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from configs.load import differences, dump
from configs.schema import RunConfig
from data.image_set import ImageSet
from data.known import Known, same_knowledge
from data.sources import FILE_READERS, names
from engine import checkpoints_folder
from engine.checkpoint import Checkpoint, read_checkpoint, write_checkpoint, write_text
from engine.errors import CheckpointError, UsageError
from engine.processes import Processes
from methods.resolve import resolve_config
from system.atomic import remove_torn
from system.lock import locked
from system.names import printable

LONGEST_NAME = 200
"""Bytes: most file systems end at 255, and temporary files have longer names than what they stand for."""
IDX_ENDINGS = (".gz", ".idx3-ubyte")


def default_folder(config: RunConfig, usual: RunConfig | None = None) -> Path:
    """checkpoints/<data>-<title>-s<seed>, with what is not usual of the run in its name.

    The split stands there unless it is "train", "k8" where k was asked for and is not the usual one, and six digits
    of a hash where other settings differ from the usual ones, unless the run was given a name of its own.

    Args:
        config: of the run, as the user gave it.
        usual: what the title stands for, see `usual_config`; None: nothing is unusual.
    """
    parts = [_data_name(config.data.name)]
    if config.data.split != "train":
        parts.append(config.data.split)
    parts.append(config.title)
    if usual is not None and not config.finds_clusters and _is_unusual_k(config, usual):
        parts.append(f"k{config.clusters}")
    if usual is not None and usual.name == config.name and (others := _unusual(config, usual)):
        parts.append(hashlib.sha256("\n".join(others).encode("utf-8", "surrogatepass")).hexdigest()[:6])
    return checkpoints_folder.CHECKPOINTS / _fitting("-".join([*parts, f"s{config.seed}"]))


def usual_config(method: str | None, file: Path | None, named: Sequence[str] = ()) -> RunConfig:
    """The config that a run's name stands for: a file's where the file names its run, else its method's defaults.

    Args:
        method: or None.
        file: a config, or None.
        named: "section.key=value" each, which the name tells as well.

    Raises:
        ConfigError: as `resolve_config`.
    """
    own = resolve_config(method, file, [], {})
    return resolve_config(method, file, named, {}) if own.name else resolve_config(own.method, None, named, {})


def _data_name(name: str) -> str:
    """A data set's name, or the last part of its path without what says of which kind a file is."""
    # realpath, for Path.resolve raises where a link leads back to itself; the data's reader says so.
    found = os.path.basename(os.path.realpath(name))
    endings = [ending for ending in (*FILE_READERS, *IDX_ENDINGS) if ending.startswith(".")]
    ending = max((e for e in endings if found.lower().endswith(e)), key=len, default="")
    return found[: len(found) - len(ending)] or found


def _is_unusual_k(config: RunConfig, usual: RunConfig) -> bool:
    """Named sets have a usual k; of a user's own a k that was given is one of several that may be tried."""
    own = config.data.name not in names()
    given = "clusters" in config.model_fields_set and "clusters" not in usual.model_fields_set
    return config.clusters != usual.clusters or (own and given)


def _unusual(config: RunConfig, usual: RunConfig) -> list[str]:
    """What differs of the settings that no other part of a folder's name tells, nor on which device it runs."""
    return differences(_unnamed(usual), _unnamed(config))


def _unnamed(config: RunConfig) -> dict[str, Any]:
    settings = config.model_dump(mode="json")
    decides = {key: found for key, found in _deciding(settings).items() if key not in ("clusters", "seed", "runtime")}
    data = {key: found for key, found in settings["data"].items() if key not in ("name", "split")}
    arithmetic = {key: settings["runtime"][key] for key in ("precision", "tf32")}
    return {**decides, "data": data, "runtime": arithmetic}


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


def other_settings(there: Mapping[str, Any], here: Mapping[str, Any]) -> list[str]:
    """What of the settings that decide a run's outcome differs; images are compared by their fingerprint.

    A run whose precision was chosen holds what was chosen, and is still the run that asks for "auto".
    """
    runtime, wanted = _deciding(there), _deciding(here)
    if here["runtime"]["precision"] == "auto":
        chosen = {key: runtime["runtime"].get(key) for key in ("precision", "tf32")}
        wanted["runtime"] = {**wanted["runtime"], **chosen}
    return differences(runtime, wanted)


def other_data(checkpoint: Checkpoint, images: ImageSet, known: Known | None) -> list[str]:
    """What of the images of a run, and of what is known of them, differs from these; for people."""
    changed = []
    if checkpoint.data["fingerprint"] != images.fingerprint:
        changed.append(
            f"the images: {checkpoint.data['n']} of fingerprint {checkpoint.data['fingerprint'][:12]} → "
            f"{len(images)} of fingerprint {images.fingerprint[:12]}"
        )
    if not same_knowledge(checkpoint.data.get("known"), known):
        of_a_file = isinstance(checkpoint.config.get("known"), str) and known is not None
        changed.append(f"what is known of the images: {'the file has changed' if of_a_file else 'not the same'}")
    return changed


def _deciding(config: Mapping[str, Any]) -> dict[str, Any]:
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


def earlier_run(
    path: Path, config: RunConfig, images: ImageSet, known: Known | None, resume: bool, overwrite: bool
) -> Checkpoint | None:
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
    try:
        checkpoint = read_checkpoint(path)
    except CheckpointError as error:
        raise UsageError(f"{'--resume: ' if resume else ''}{error} --overwrite starts anew.") from error
    changed = other_settings(checkpoint.config, config.model_dump(mode="json"))
    changed += other_data(checkpoint, images, known)
    if changed:
        raise UsageError(
            f"{'--resume: ' if resume else ''}{path} is another run. What differs (there → here):\n  "
            + "\n  ".join(changed)
            + "\n--overwrite starts anew over it, --out DIR leaves it alone."
        )
    if not resume:
        raise UsageError(
            f"{path} holds an earlier run. --resume goes on with it, --overwrite starts anew over it, "
            "--out DIR leaves it alone."
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


def saver(folder: Path) -> Callable[[Checkpoint], None]:
    """What writes a run's checkpoints into its folder, at the first of them its config beside it.

    Raises:
        CheckpointError: when called, where the folder cannot be written.
    """
    path, begun = folder / "checkpoint.pt", False

    def save(checkpoint: Checkpoint) -> None:
        nonlocal begun
        if not begun:
            remove_torn(path)
            write_text(folder / "config.yaml", dump(checkpoint.config))
            begun = True
        write_checkpoint(path, checkpoint)

    return save
