"""Uniform manifold approximation and projection, with a named extension to new points.

Source: McInnes, Healy, Melville, "UMAP: Uniform Manifold Approximation and Projection for Dimension Reduction",
arXiv:1802.03426.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Float32, UInt8
from torch import Tensor

from estimators.base import Reducer, RepresentationError
from estimators.inverse_distance import InverseDistance, distinct_rows
from estimators.neighbours import neighbour_graph, recall_notes
from estimators.settings import UMAPSettings
from estimators.umap_by_cuml import cuml_for, lay_out_by_cuml
from estimators.umap_layout import lay_out


class UMAP(Reducer):
    """Places in a space of few dimensions in which a point's neighbours stay near.

    umap-learn lays out the graph of `neighbour_graph`. Its own `transform` is not used: what it gives depends on the
    batch. New points lie among the places of their nearest training points, see `InverseDistance`; training points
    keep their places, and those that are equal share the mean of theirs.

    All of it runs on the CPU. Only where points lie on a CUDA device and cuML is installed, cuML lays them out there.

    Attributes:
        arrays: of the u distinct training points, points: (u, d), uint8 where all are k / 255, else float32; and
            places: (u, e), float32. Where the search for neighbours was not exact, also recall: (), float64.
            by_cuml: true, where cuML made them.
    """

    places_its_points = True

    def __init__(self, settings: UMAPSettings) -> None:
        super().__init__()
        self.settings = settings
        self._extension: InverseDistance | None = None

    def fit(self, points: Float[Tensor, "n d"], seed: int) -> None:
        """Lay out `points`. With fewer points than neighbours asked for, all other points are neighbours.

        Raises:
            RepresentationError: for fewer than 4 points, or when a value is not finite.
        """
        if len(points) < 4:
            raise RepresentationError(f"UMAP needs at least 4 points; received {len(points)}.")
        library = cuml_for(points.device)
        here, recall = points.cpu().float(), 1.0
        if library is None:
            graph = neighbour_graph(here, min(self.settings.neighbours, len(here) - 1))
            layout, recall = lay_out(here, graph, self.settings, seed), graph.recall
        elif bool(torch.isfinite(points).all()):
            layout = lay_out_by_cuml(library, points, self.settings, seed)
        else:
            raise RepresentationError("UMAP needs finite points; received NaN or infinity.")
        rows, places = distinct_rows(here, layout)
        self.arrays = {"points": _stored(here[rows]), "places": places}
        if recall < 1:
            self.arrays["recall"] = torch.tensor(recall, dtype=torch.float64)
        if library is not None:
            self.arrays["by_cuml"] = torch.tensor(True)

    def transform(self, points: Float[Tensor, "m d"]) -> Float[Tensor, "m e"]:
        """Places, float32, on the device of `points`."""
        places = self.arrays["places"]
        # The arrays may have been replaced: by a fit, or by loading.
        if self._extension is None or self._extension.places is not places:
            self._extension = InverseDistance(_restored(self.arrays["points"]), places, self.settings.extension)
        return self._extension.transform(points.cpu().float()).to(points.device)

    @property
    def title(self) -> str:
        return f"UMAP {self.settings.components}-d"

    @property
    def notes(self) -> tuple[str, ...]:
        count, seeded = self.settings.extension, self.settings.reproducible
        layout = "UMAP seeded, one thread" if seeded else "UMAP on all threads, not repeatable"
        if "by_cuml" in self.arrays:
            layout = "UMAP by cuML, seeded" if seeded else "UMAP by cuML, not repeatable"
        return (
            layout,
            f"new images: {count} nearest neighbour{'s' if count > 1 else ''}",
            *recall_notes(float(self.arrays.get("recall", 1.0))),
        )


def _stored(points: Float32[Tensor, "n d"]) -> UInt8[Tensor, "n d"] | Float32[Tensor, "n d"]:
    """Raw pixels in a quarter of the space; everything else as it is."""
    if float(points.min()) >= 0 and float(points.max()) <= 1:
        levels = points.mul(255).round_().to(torch.uint8)
        if torch.equal(_restored(levels), points):
            return levels
    return points.clone()


def _restored(stored: UInt8[Tensor, "n d"] | Float32[Tensor, "n d"]) -> Float32[Tensor, "n d"]:
    return stored.float().div_(255) if stored.dtype == torch.uint8 else stored
