"""What the training loop tells those who watch it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

from jaxtyping import Int64
from torch import Tensor

from methods.base import Method


@runtime_checkable
class Observer(Protocol):
    """Someone who watches a run. The loop holds a sequence of observers and calls them on process 0 alone.

    An observer changes nothing: a run with it and a run without it end with the same bits. The loop hands it
    no labels.

    `step` is the number of training steps finished so far, over all phases; it never falls. A run that resumes
    after s steps repeats the scalars and refreshes of step s, which belong to the step to come, but no end of
    an epoch or a phase at step s.
    """

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Numbers of the step to come, by name: "pretrain/loss", "pretrain/learning_rate", "cluster/changed", …"""
        ...

    def refreshed(self, phase: str, step: int, assignments: Int64[Tensor, " n"], clusters: int) -> None:
        """After a refresh: the new cluster of every training image, (n,), 0 to `clusters` - 1, on the CPU."""
        ...

    def epoch_finished(self, phase: str, epoch: int, step: int, method: Method) -> None:
        """After the pass number `epoch`, from 1, over the training set within `phase`."""
        ...

    def phase_finished(self, phase: str, step: int, method: Method) -> None:
        """After the last step of a phase, or after a fit."""
        ...

    def close(self) -> None:
        """At the end of the run, also when it is interrupted or fails."""
        ...
