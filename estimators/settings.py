"""Settings of clusterers and of reductions. Sizes are in points."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from configs.schema import KMeansSettings, PositiveFloat, PositiveInt, Restarts, Settings


class KMeansClustererSettings(KMeansSettings):
    """KMeans on all points, of more than 300,000 on a sample of so many."""

    name: Literal["kmeans"] = "kmeans"
    redos: Restarts = 10


class GMMSettings(Settings):
    """Gaussian mixture by expectation maximisation."""

    name: Literal["gmm"] = "gmm"
    covariance: Literal["full", "tied", "diagonal", "spherical"] = "full"
    initialise: Literal["k-means++", "kmeans"] = "k-means++"
    """Means drawn by k-means++, or all parameters from a finished KMeans."""
    redos: Restarts = 1
    """The start of highest likelihood is kept."""
    iterations: PositiveInt = 100
    tol: PositiveFloat = 1e-3
    """Ends below this gain in the mean log-likelihood of a point."""
    floor: PositiveFloat = 1e-6
    """Added to the diagonal of every covariance."""


class AgglomerativeSettings(Settings):
    """Merges the closest pair of clusters until k are left."""

    name: Literal["agglomerative"] = "agglomerative"
    linkage: Literal["ward", "average", "complete"] = "ward"
    subset: PositiveInt = 20_000
    """At most so many points, drawn at random; the rest take the cluster of their nearest neighbour among them."""


class SpectralSettings(Settings):
    """Normalised cuts of the nearest-neighbour graph."""

    name: Literal["spectral"] = "spectral"
    neighbours: Annotated[int, Field(ge=2)] = 10
    """Joined to every point by the graph, the point itself counted, as scikit-learn does."""
    redos: Restarts = 10
    """Of KMeans on the eigenvectors."""
    subset: PositiveInt = 60_000


class DensitySettings(Settings):
    """Of what finds the number of clusters itself: the k of the config is not used."""


class DBSCANSettings(DensitySettings):
    """Clusters are dense regions; noise is one more cluster, the last."""

    name: Literal["dbscan"] = "dbscan"
    radius: PositiveFloat | None = None
    """None: where the sorted distances to the `points`-th neighbour bend most."""
    points: PositiveInt = 10
    """Within the radius, itself included, that make a point a core point."""
    subset: PositiveInt = 60_000
    """Time grows with its square: about 20 s in 10 dimensions, minutes in 784. Memory does not."""


class HDBSCANSettings(DensitySettings):
    """Dense regions of every density; noise is one more cluster, the last."""

    name: Literal["hdbscan"] = "hdbscan"
    smallest: Annotated[float, Field(gt=0, lt=1)] = 0.01
    """Smallest cluster, as a share of the points."""
    points: PositiveInt = 10
    """Neighbours whose distance measures the density."""
    subset: PositiveInt = 20_000
    """Time grows with its square and the dimensions: 60,000 points take about 40 s in 10 dimensions, hours in
    784."""


class SOMSettings(Settings):
    """Self-organising map: one cluster a unit, neighbouring units are alike."""

    name: Literal["som"] = "som"
    rows: PositiveInt | None = None
    """Of the grid, which has k units; None: as square as k allows."""
    passes: PositiveInt = 50
    """Over all points, while the neighbourhood shrinks."""


ClustererSettings = Annotated[
    KMeansClustererSettings
    | GMMSettings
    | AgglomerativeSettings
    | SpectralSettings
    | DBSCANSettings
    | HDBSCANSettings
    | SOMSettings,
    Field(discriminator="name"),
]


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
