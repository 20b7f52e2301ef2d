"""How large clusters would be if nothing held their sizes: what a method says that holds them to a prior."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from estimators.base import ClusteringError, LaterArrays
from estimators.settings import SpectralSettings
from estimators.spectral import SpectralClusterer
from parts.size_prior import SizePriorSettings

SAMPLE = 5000
"""Images, drawn at random, whose graph is cut: seconds of work, and shares that are right to a few thousandths."""
NEIGHBOURS = 20
"""Of the graph at most: with more a small class is joined to others, and sizes look more equal than they are."""
SHOWN = 12
"""Clusters up to which every share is named."""
HARD = 0.2
"""From this share of the images on that would have to move, the prior may decide more than the images do."""
ADVISED = "docs/unequal-sizes.md"


class FreeSizes(LaterArrays):
    """Sizes of the clusters that the features alone give, by normalised cuts of their neighbour graph.

    A head that agrees with an image's neighbours cuts the same graph where it is thin, and the prior says how large the
    parts must be. Normalised cuts (`estimators.spectral`) have no prior.

    Attributes:
        arrays: shares: (at most k,), float64, descending, of the images. Empty where the graph could not be cut.
    """

    def find(self, z: Float[Tensor, "n d"], k: int, neighbours: int, seed: int) -> dict[str, Tensor]:
        """The shares, for `arrays`."""
        clusterer = SpectralClusterer(
            SpectralSettings(subset=SAMPLE, neighbours=min(max(neighbours, 2), NEIGHBOURS), redos=5)
        )
        try:
            clusterer.fit(z, k, seed)
        except ClusteringError:  # a graph in more parts than k has no such cut
            return {}
        sizes = clusterer.arrays["labels"].bincount().double()
        return {"shares": (sizes / sizes.sum()).sort(descending=True).values}

    def notes(self, settings: SizePriorSettings, k: int) -> tuple[str, ...]:
        """What a table must say of k clusters whose sizes are held to a prior; nothing where nothing is known."""
        if not self.is_fitted:
            return ()
        shares = settings.prior if isinstance(settings.prior, tuple) else [1 / k] * k
        held = torch.tensor(shares, dtype=torch.float64).sort(descending=True).values
        if settings.prior == "learned":
            held *= 1 - settings.prior_freedom  # no expected share falls below
            kind = f"learned, each expected above {100 * float(held[0]):.1f} %"
        else:
            kind = "held to equal shares" if settings.prior is None else "held to a given prior"
        free = torch.zeros_like(held)
        free[: len(self.arrays["shares"])] = self.arrays["shares"]
        shown = ", ".join(f"{100 * share:.0f}" for share in free.tolist()[:SHOWN])
        alone = f"the features alone would give {shown}{', …' if len(free) > SHOWN else ''} % of the images"
        # The share of the images that clusters which are too small for the prior would have to take from the others.
        apart = float((held - free).clamp_min(0).sum())
        advice = f": if classes may differ in size, see {ADVISED}" if apart >= HARD else ""
        return (f"sizes {kind}; {alone}, {100 * apart:.0f} % in other clusters{advice}",)
