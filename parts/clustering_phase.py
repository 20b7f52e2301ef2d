"""The clustering phase as the joint methods have it: how long it is, and what the loop needs to know of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated

from jaxtyping import Int64
from pydantic import Field
from torch import Tensor, nn

from configs.schema import OptimiserSettings, PositiveInt, Settings
from parts.phases import GradientPhase, Objective, epochs_needed


class ClusteringPhaseSettings(Settings):
    """What the clustering phases of all joint methods have; methods add their own."""

    update_interval: PositiveInt = 140
    """Steps between two assignments of the whole training set."""
    max_epochs: PositiveInt = 10
    min_steps: Annotated[int, Field(ge=0)] = 1000
    """As many epochs more as a small data set needs to reach this number of steps."""
    batch_size: PositiveInt = 256
    optimiser: OptimiserSettings = OptimiserSettings(learning_rate=1e-4)

    def epochs(self, images: int) -> int:
        """Of so many training images, at most."""
        return epochs_needed(images, self.batch_size, self.max_epochs, self.min_steps)


def clustering_phase(
    settings: ClusteringPhaseSettings,
    objective: Objective,
    refresh: Callable[[], Int64[Tensor, " n"]],
    images: int,
    clusters: int,
    *,
    tol: float = 0.0,
    restart: Callable[[int], Sequence[nn.Parameter]] | None = None,
    validates: bool = False,
) -> GradientPhase:
    """The phase "cluster" of so many training images, as `settings` say; the rest as `GradientPhase` has it."""
    return GradientPhase(
        name="cluster",
        module=objective,
        optimiser=settings.optimiser,
        epochs=settings.epochs(images),
        batch_size=settings.batch_size,
        refresh=refresh,
        refresh_interval=settings.update_interval,
        clusters=clusters,
        tol=tol,
        restart=restart,
        validates=validates,
    )
