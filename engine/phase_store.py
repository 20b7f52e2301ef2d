"""Finished phases kept for other runs: DEC and DCN of one seed start from the same pretrained weights, computed once.

A phase is addressed by all that its outcome depends on: the images, the seed, the number of processes and the
precision, and the settings of the phase and of those before it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from configs.schema import RunConfig
from engine.checkpoint import read_tensors, write_tensors
from engine.errors import CheckpointError
from methods.base import Phase

# Raise when a change in the code changes what a phase computes from the same settings.
VERSION = 1


def phase_keys(phases: Sequence[Phase], config: RunConfig, fingerprint: str, processes: int) -> list[str]:
    """The address of every phase, in order (hex)."""
    common = {
        "version": VERSION,
        "torch": torch.__version__,
        "data": fingerprint,
        "seed": config.seed,
        "runtime": config.runtime.model_dump(mode="json", include={"device", "precision"}),
        "processes": processes,
    }
    chain: list[Any] = []
    keys = []
    for phase in phases:
        chain.append([phase.name, dict(phase.settings)])
        text = json.dumps([common, chain], sort_keys=True)
        keys.append(hashlib.sha256(text.encode()).hexdigest()[:32])
    return keys


class PhaseStore:
    """A folder of finished phases."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def get(self, key: str) -> dict[str, Any] | None:
        """State, seconds and history of a finished phase, or None; a damaged entry counts as none."""
        try:
            return read_tensors(self._path(key))
        except CheckpointError:
            return None

    def put(self, key: str, state: dict[str, Any], seconds: float, history: list[dict[str, Any]]) -> None:
        """Keep a finished phase.

        Raises:
            CheckpointError: when it cannot be written.
        """
        write_tensors(self._path(key), {"state": state, "seconds": seconds, "history": history})

    def _path(self, key: str) -> Path:
        return self._folder / f"{key}.pt"
