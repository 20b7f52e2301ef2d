"""Finished phases kept for other runs: DEC and DCN of one seed start from the same pretrained weights, computed once.

A phase is addressed by all that its outcome depends on: the images, the seed, the code, device, precision, threads and
processes, and the settings and first weights of the phase and of those before it.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from configs.schema import RunConfig
from engine.checkpoint import read_tensors, write_tensors
from engine.errors import CheckpointError
from methods.base import Phase
from storage.atomic import remove_torn
from storage.lock import locked

ROOT = Path(__file__).resolve().parent.parent
SOURCES = (
    "models",
    "losses",
    "clusterers",
    "representations",
    "methods",
    "data/augmentation.py",
    "storage/arrays.py",
    "engine/loop.py",
    "engine/optimisers.py",
    "engine/randomness.py",
)
"""The code that a phase's outcome depends on."""


def phase_keys(
    phases: Sequence[Phase], config: RunConfig, fingerprint: str, device: torch.device, processes: int
) -> list[str]:
    """The address of every phase, in order (hex). To be asked before anything is trained or loaded."""
    common = {
        "code": code_hash(),
        "torch": torch.__version__,
        "data": fingerprint,
        "seed": config.seed,
        "machine": [device.type, config.runtime.precision, processes, torch.get_num_threads()],
    }
    chain: list[Any] = []
    keys = []
    for phase in phases:
        chain.append([phase.name, dict(phase.settings), _state_hash(phase.module)])
        text = json.dumps([common, chain], sort_keys=True)
        keys.append(hashlib.sha256(text.encode()).hexdigest()[:32])
    return keys


@functools.cache
def code_hash() -> str:
    """SHA-256 (hex) of the sources in `SOURCES`."""
    digest = hashlib.sha256()
    for place in SOURCES:
        for file in sorted((ROOT / place).rglob("*.py")) or [ROOT / place]:
            digest.update(file.read_bytes())
    return digest.hexdigest()


def _state_hash(module: nn.Module) -> str:
    """SHA-256 (hex) of a module's weights: two methods that share a phase must begin it alike."""
    digest = hashlib.sha256()
    for name, value in sorted(module.state_dict().items()):
        digest.update(name.encode())
        if isinstance(value, torch.Tensor):
            digest.update(value.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


class PhaseStore:
    """A folder of finished phases."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def get(self, key: str) -> dict[str, Any] | None:
        """State, seconds, peak memory and history of a finished phase, or None; a damaged entry counts as none."""
        try:
            return read_tensors(self._path(key))
        except CheckpointError:
            return None

    def put(
        self, key: str, state: dict[str, Any], seconds: float, peak_memory: float, history: list[dict[str, Any]]
    ) -> None:
        """Keep a finished phase.

        Raises:
            CheckpointError: when it cannot be written.
        """
        content = {"state": state, "seconds": seconds, "peak_memory": peak_memory, "history": history}
        write_tensors(self._path(key), content)

    @contextmanager
    def claim(self, key: str, wait: Callable[[], bool]) -> Iterator[bool]:
        """Hold a phase within the block, so that runs side by side compute it once; yields whether it is held.

        `wait` is called while another run holds it: it pauses, and returns False to give up.
        """
        with ExitStack() as stack:
            try:
                held = stack.enter_context(locked(self._folder / f"{key}.lock", wait))
            except OSError:
                held = True  # no place to keep phases either; `put` says so
            if held:
                remove_torn(self._path(key))
            yield held

    def _path(self, key: str) -> Path:
        return self._folder / f"{key}.pt"
