"""Who keeps a run as it stands: brings the checkpoint up to date, and hands it to `save`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from torch.optim import Optimizer

from engine.checkpoint import Checkpoint, LoopState
from engine.randomness import generator_states
from methods.base import Method, PretrainedMethod
from parts.phases import Phase


class Keeper:
    """Keeps a run at its start, now and then, and at its end. To be called on the first process alone.

    Args:
        method: whose state is kept.
        checkpoint: of the run; it is changed in place.
        phases: of the method.
        save: called with the checkpoint; None: it stays in memory.
    """

    def __init__(
        self,
        method: Method,
        checkpoint: Checkpoint,
        phases: Sequence[Phase],
        save: Callable[[Checkpoint], None] | None,
    ) -> None:
        self.method, self.checkpoint, self.save = method, checkpoint, save
        # A network of others has no pretraining here, and keeps its weights to itself.
        self._pretrained = 1 + max((i for i, phase in enumerate(phases) if phase.name == "pretrain"), default=-1)

    def keep(self, optimiser: dict[str, Any] | None) -> None:
        """The run as it stands, with the state of the optimiser that is in the middle of a phase."""
        checkpoint = self.checkpoint
        checkpoint.method, checkpoint.generators = self.method.state_dict(), generator_states()
        checkpoint.optimiser = optimiser
        just_pretrained = self._pretrained and checkpoint.loop.phase == self._pretrained
        if just_pretrained and isinstance(self.method, PretrainedMethod):
            checkpoint.pretrained = checkpoint.pretrained or self.method.encoder_state()
        if self.save is not None:
            self.save(checkpoint)

    def write(self, state: LoopState, optimiser: Optimizer | None) -> None:
        """What the loop calls in the middle of its phases. `state` is the checkpoint's own."""
        self.keep(None if optimiser is None else optimiser.state_dict())
