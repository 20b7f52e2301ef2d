"""Finished phases kept for other runs: DEC and DCN of one seed start from the same pretrained weights, computed once.

A phase is addressed by all that its outcome depends on, see `engine.phase_keys`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from engine.checkpoint import read_tensors, write_tensors
from engine.errors import CheckpointError
from system.atomic import remove_torn
from system.lock import locked


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
