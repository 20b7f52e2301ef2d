"""The checkpoint: one file that holds all that resume and evaluation need, written atomically, read without pickle.

It is a dictionary of tensors and plain values, so that `torch.load(weights_only=True)` opens it: loading a stranger's
checkpoint runs none of their code.
"""

from __future__ import annotations

import dataclasses
import pickle
import statistics
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor

from engine.errors import CheckpointError
from system.atomic import write_atomically

FORMAT = "deep-clustering/1"


@dataclass
class LoopState:
    """Where the loop is, to the step.

    Attributes:
        phase: index of the phase under way; the number of phases when all are finished.
        epoch: epoch under way in that phase.
        batch: batch to come in that epoch.
        global_step: steps over all phases.
        sums: sums of the losses over the batches of the epoch so far.
        previous: (n,), the assignments of the last refresh.
        changed: share of the assignments that the last refresh changed, or None.
        warning: which clusters were dying at the last refresh, or None.
        seconds: time spent in each phase so far.
        keys: of the phases begun so far, the addresses under which they began.
        peak_memory: the most memory that a phase has needed, in MiB; for a shared one, in the run that computed it.
        shared: names of phases whose outcome was taken from an earlier run; their seconds are that run's.
        history: one row an epoch or fit, and a row for every notice.
        done: whether the last phase is finished and the assignments are final.
    """

    phase: int = 0
    epoch: int = 0
    batch: int = 0
    global_step: int = 0
    sums: dict[str, float] = field(default_factory=dict)
    previous: Tensor | None = None
    changed: float | None = None
    warning: str | None = None
    seconds: dict[str, float] = field(default_factory=dict)
    keys: list[str] = field(default_factory=list)
    peak_memory: float = 0.0
    shared: list[str] = field(default_factory=list)
    history: list[dict[str, Any]] = field(default_factory=list)
    done: bool = False

    @property
    def images_per_second(self) -> float | None:
        """Of the epochs of the last phase that was trained and timed; None where none was."""
        epochs = [row for row in self.history if "images_per_second" in row]
        speeds = [row["images_per_second"] for row in epochs if row["phase"] == epochs[-1]["phase"]]
        return statistics.harmonic_mean(speeds) if speeds else None


@dataclass
class Checkpoint:
    """Everything about a run.

    Attributes:
        config: the resolved config.
        data: name, split, fingerprint, n and shape of the training images; `image_fingerprints`, a short one of each
            (`data.fingerprints`); the state of their `names`; how they were read, as `data.reading.as_before` takes it;
            the absolute `place` of a path; and what was `known` of them, as the `state` of a `data.known.Known`
            with these images' short fingerprints, or None. The last five are missing in older checkpoints.
        environment: versions, git commit, device, threads.
        method: the method's state: weights and fitted arrays.
        loop: where the loop is, with history and timings.
        optimiser: its state within a gradient phase, else None.
        generators: the random generators' states; every process has the same.
        assignments: (n,), the labels of the training images, or None before the end.
        pretrained: the encoder's weights when its pretraining ended and no cluster had shaped it yet; None before that,
            and for methods without such a moment.
    """

    config: dict[str, Any]
    data: dict[str, Any]
    environment: dict[str, Any]
    method: dict[str, Any] = field(default_factory=dict)
    loop: LoopState = field(default_factory=LoopState)
    optimiser: dict[str, Any] | None = None
    generators: dict[str, Any] = field(default_factory=dict)
    assignments: Tensor | None = None
    pretrained: dict[str, Any] | None = None


LATER = frozenset({"pretrained"})
"""Fields that older checkpoints lack."""


def write_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write `checkpoint` to `path`: the old file stays until the new one is safely on the disk.

    Raises:
        CheckpointError: when it cannot be written; the old file is untouched.
    """
    # Not dataclasses.asdict for the whole: it would copy every tensor.
    content = {f.name: getattr(checkpoint, f.name) for f in dataclasses.fields(checkpoint)}
    loop = {f.name: getattr(checkpoint.loop, f.name) for f in dataclasses.fields(checkpoint.loop)}
    write_tensors(path, {"format": FORMAT, **content, "loop": loop})


def write_tensors(path: Path, content: Mapping[str, Any]) -> None:
    """Write a dictionary of tensors and plain values atomically: temporary file, fsync, rename."""
    _write(path, lambda file: torch.save(dict(content), file))


def write_text(path: Path, text: str) -> None:
    """Write a text file in the same way."""
    _write(path, lambda file: file.write(text.encode()))


def _write(path: Path, write: Callable[[BinaryIO], object]) -> None:
    try:
        write_atomically(path, write)
    # torch's writer reports a full disk as a RuntimeError when the stream breaks under it.
    except (OSError, RuntimeError) as error:
        kept = f" The last good checkpoint is still there: {path}" if path.is_file() else ""
        raise CheckpointError(f"could not write {path}: {error}.{kept}") from error


def read_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint onto the CPU.

    Raises:
        CheckpointError: when there is none, it is damaged, or it is not this project's.
    """
    content = read_tensors(path)
    fields = {f.name for f in dataclasses.fields(Checkpoint)}
    if content.get("format") != FORMAT or not fields - LATER <= content.keys():
        raise CheckpointError(
            f"{path} is not a checkpoint of this project: its format is {content.get('format', 'not stated')!r}, "
            f"expected {FORMAT!r}."
        )
    values = {name: content[name] for name in fields if name in content}
    try:
        return Checkpoint(**{**values, "loop": LoopState(**values["loop"])})
    except TypeError as error:
        raise CheckpointError(f"{path} was written by another version of this project: {error}.") from error


def read_tensors(path: Path) -> dict[str, Any]:
    """Read what `write_tensors` wrote, onto the CPU, without running code from it.

    Raises:
        CheckpointError: when there is none, it is damaged, or it holds more than tensors and plain values.
    """
    try:
        with open(path, "rb") as file:
            if not zipfile.is_zipfile(file):  # torch's format; other pickles are not even looked into
                raise CheckpointError(f"{path} is damaged, or no checkpoint.")
            file.seek(0)
            content = torch.load(file, map_location="cpu", weights_only=True)
    except (FileNotFoundError, IsADirectoryError) as error:
        raise CheckpointError(f"there is no checkpoint at {path}.") from error
    except PermissionError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror}.") from error
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"{path} is not a checkpoint of this project, or is damaged: it holds more than tensors and plain "
            "values, and nothing in it was run."
        ) from error
    except (OSError, RuntimeError, EOFError, ValueError, LookupError) as error:
        raise CheckpointError(f"{path} is damaged or no checkpoint: {str(error).splitlines()[0]}") from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{path} is not a checkpoint of this project: it holds a {type(content).__name__}.")
    return content
