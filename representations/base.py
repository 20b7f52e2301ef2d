"""What every reduction of points promises."""

from __future__ import annotations

from abc import ABC, abstractmethod

from jaxtyping import Float
from torch import Tensor

from storage.arrays import FittedArrays


class RepresentationError(Exception):
    """Points that cannot be represented as asked. The message is for the person who asked."""


class Reducer(FittedArrays, ABC):
    """From points in d dimensions to points in fewer, all on the CPU. All that a fit leaves behind is in `arrays`."""

    places_its_points = False
    """Whether the fit gives its own points places that `transform` finds again by what the points are."""

    @abstractmethod
    def fit(self, points: Float[Tensor, "n d"], seed: int) -> None:
        """Learn from `points`. Deterministic given points and seed, unless its settings say otherwise.

        Raises:
            RepresentationError: when the points cannot be reduced as asked.
        """

    @abstractmethod
    def transform(self, points: Float[Tensor, "m d"]) -> Float[Tensor, "m e"]:
        """Any points, float32. One batch or many, the answer is the same; a point of the fit keeps its place."""

    @property
    @abstractmethod
    def title(self) -> str:
        """Its name for tables, short: "PCA 83-d"."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What a table must say of it: threads and seed, the extension to new points. Short, no full stop."""
        return ()
