"""What a run takes from others' finished phases, and what it leaves for them."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from engine.checkpoint import LoopState
from engine.errors import CheckpointError, Interrupted
from engine.interrupt import StopWish
from engine.phase_store import PhaseStore
from engine.processes import Processes
from engine.progress import Display
from parts.phases import Phase


@dataclass(frozen=True)
class Sharing:
    """The store of finished phases as one run may use it.

    Attributes:
        store: finished phases of earlier runs, or None. The last phase is the run's own and never in it.
        keys: the addresses of this run's phases.
        processes: device, precision and processes.
        display: what the user sees.
        state: of the run.
        stop: whether the user wishes the run to stop.
    """

    store: PhaseStore | None
    keys: Sequence[str]
    processes: Processes
    display: Display
    state: LoopState
    stop: StopWish

    def begin(self) -> None:
        """Write down under which key the phase to come begins."""
        self.state.keys[self.state.phase :] = [self._key]

    @contextmanager
    def claimed(self, phase: Phase) -> Iterator[None]:
        """Within the block no other run computes this phase; ours waits for one that does.

        Raises:
            Interrupted: the user asked to stop while it waited.
        """
        store = self._usable
        if store is None or not self.processes.is_first:
            yield
            return
        notice = [f"{phase.name}: waiting for another run that computes it"]

        def wait() -> bool:
            while notice:
                self.display.notice(notice.pop())
            time.sleep(0.2)
            return not self.stop.wished

        with store.claim(self._key, wait) as held:
            if not held and self.processes.count == 1:
                raise Interrupted  # the state was saved before this phase
            yield

    def take(self, phase: Phase) -> bool:
        """Use the outcome of the same phase in an earlier run, with its history and its time; whether there is one."""
        store = self._usable
        stored = None if store is None else self.processes.once(lambda: store.get(self._key))
        if stored is None:
            return False
        phase.module.load_state_dict(stored["state"])
        self.state.seconds[phase.name] = stored["seconds"]
        self.state.peak_memory = max(self.state.peak_memory, stored["peak_memory"])
        self.state.shared.append(phase.name)
        self.state.history += stored["history"]
        self.state.global_step = stored["history"][-1]["step"]
        self.display.finish(
            f"{phase.name}: taken from an earlier run with the same settings ({stored['seconds']:.0f} s there)"
        )
        return True

    def keep(self, phase: Phase) -> None:
        """Keep a finished phase for other runs. That this fails is no reason to end this one."""
        if self._usable is None or not self.processes.is_first:
            return
        rows: list[dict[str, Any]] = [row for row in self.state.history if row["phase"] == phase.name]
        try:
            seconds, memory = self.state.seconds[phase.name], self.state.peak_memory
            self._usable.put(self._key, phase.module.state_dict(), seconds, memory, rows)
        except CheckpointError as error:
            self.display.notice(f"{phase.name} is not kept for other runs: {error}")

    @property
    def _key(self) -> str:
        return self.keys[self.state.phase]

    @property
    def _usable(self) -> PhaseStore | None:
        """The store, where this phase and all before it began under the keys that they have now.

        A phase that began on other code or another machine is not what its key says, nor is what stands on it.
        """
        number = self.state.phase
        return self.store if number < len(self.keys) - 1 and self.state.keys == list(self.keys[: number + 1]) else None
