"""Settings of what stands between the images and the clusterer."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from configs.schema import PositiveInt, Settings


class PCASettings(Settings):
    """Principal components: so many, or as many as explain a share of the variance."""

    components: PositiveInt | None = None
    variance: Annotated[float, Field(gt=0, lt=1)] | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> PCASettings:
        if (self.components is None) == (self.variance is None):
            raise ValueError("give either `components`, a number, or `variance`, a share such as 0.9")
        return self


class UMAPStageSettings(Settings):
    """Uniform manifold approximation and projection, as a config has it."""

    components: PositiveInt | Literal["clusters"] = 10
    """clusters: as many as there are clusters, k."""
    neighbours: Annotated[int, Field(ge=2)] = 20
    min_dist: Annotated[float, Field(ge=0, lt=1)] = 0.0
    epochs: PositiveInt | None = None
    """None: the library's choice by the number of points."""
    reproducible: bool = True
    """The same places under the same seed, laid out by one thread; false lets all threads lay out."""
    extension: PositiveInt = 5
    """New points lie among the places of so many nearest training points, weighted by the inverse squared distance."""

    def resolved(self, clusters: int) -> UMAPSettings:
        """The same where there are so many clusters."""
        components = clusters if self.components == "clusters" else self.components
        return UMAPSettings.model_validate({**self.model_dump(), "components": components})


class UMAPSettings(UMAPStageSettings):
    """Uniform manifold approximation and projection."""

    components: PositiveInt = 10
