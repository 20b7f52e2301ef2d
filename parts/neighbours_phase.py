"""The phase that finds neighbours in a feature, and the sizes that clusters would have by the feature alone."""

from __future__ import annotations

from collections.abc import Callable

from jaxtyping import Float
from torch import Tensor, nn

from parts.free_sizes import FreeSizes
from parts.neighbourhood import Neighbourhood
from parts.phases import Compute, FitPhase


def neighbours_phase(
    neighbourhood: Neighbourhood,
    free_sizes: FreeSizes,
    points: Callable[[], Float[Tensor, "n d"]],
    wanted: int,
    clusters: int,
    seed: int,
    compute: Compute,
) -> FitPhase:
    """neighbours: in the feature, and the cluster sizes that it would give alone.

    Args:
        neighbourhood: takes the neighbours.
        free_sizes: takes the sizes.
        points: the feature of all training images, where it is computed on.
        wanted: nearest images of every image.
        clusters: k.
        seed: of the sizes.
        compute: the machine.
    """

    def find() -> None:
        z = points()
        neighbourhood.find(z, wanted, compute)
        free_sizes.arrays = compute.once(lambda: free_sizes.find(z, clusters, wanted, seed))

    return FitPhase("neighbours", nn.ModuleDict({"neighbourhood": neighbourhood, "free_sizes": free_sizes}), find)
