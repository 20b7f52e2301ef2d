"""Self-organising map: clusters on a grid, where neighbouring clusters are alike.

Sources: Kohonen, "Self-Organized Formation of Topologically Correct Feature Maps", 1982; the batch map of his
"Self-Organizing Maps", 3rd edition, 2001, section 3.6; topographic error: Kiviluoto, "Topology Preservation in
Self-Organizing Maps", 1996.
"""

from __future__ import annotations

import math
from typing import final

import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor

from estimators.base import Clusterer, Clustering, ClusteringError, check_clusters, check_points
from estimators.extension import nearest
from estimators.on_device import cluster_sums, is_cpu, on_cpu, where_float64_is
from estimators.settings import SOMSettings

LAST_WIDTH = 0.3
"""Of the neighbourhood in the last pass, in units: next to nothing (0.4 %) of a point goes to the unit beside."""


@final
class SOMClusterer(Clusterer):
    """A map of rows × columns = k units; every point goes with its nearest unit.

    In every pass each unit becomes the mean of all points, weighted by a Gaussian of the distance on the grid between
    the unit and the point's nearest unit. The Gaussian's width shrinks from half the grid to below one unit.
    """

    def __init__(self, settings: SOMSettings) -> None:
        super().__init__()
        self.settings = settings

    def fit(self, points: Float[Tensor, "n d"], k: int, seed: int) -> None:
        check_clusters("SOM", points, k)
        points = where_float64_is(points)
        grid = unit_grid(k, self.settings.rows)
        widest = (float(grid.max()) + 1) / 2
        grid = grid.to(points.device)
        units = spread_on_principal_plane(points, grid)
        on_grid = (grid[:, None] - grid).square().sum(dim=2)  # (k, k) squared distances
        x = points.double() if is_cpu(points) else points  # elsewhere block by block, for the memory's sake
        for done in range(self.settings.passes):
            share = done / max(self.settings.passes - 1, 1)
            width = widest * (LAST_WIDTH / widest) ** share
            labels = nearest(points, units, 1)[1][:, 0]
            sums, counts = cluster_sums(x, labels, k)
            influence = torch.exp(-on_grid / (2 * width**2))  # (k, k), every unit by every nearest unit
            weight = influence @ counts
            # A unit that no point reaches any more stays where it is.
            reached = (weight > 0)[:, None]
            units = torch.where(reached, (influence @ sums) / weight[:, None], units)
        self.arrays = on_cpu({"centroids": units.float(), "grid": grid})

    def assign(self, points: Float[Tensor, "m d"]) -> Clustering:
        check_points("SOM", points)
        _, units = nearest(points, self.centroids, 1)
        return Clustering(units[:, 0].cpu())

    def criteria(self, points: Float[Tensor, "m d"]) -> dict[str, float]:
        """quantisation_error: mean distance to the nearest unit. topographic_error: share of points whose two
        nearest units do not touch on the grid, neither side by side nor corner to corner."""
        squared, units = nearest(points, self.centroids, 2)
        grid = self.arrays["grid"].to(units.device)
        steps = (grid[units[:, 0]] - grid[units[:, 1]]).abs().amax(dim=1)
        return {
            "quantisation_error": float(squared[:, 0].sqrt().mean()),
            "topographic_error": float((steps > 1).double().mean()),
        }

    @property
    def notes(self) -> tuple[str, ...]:
        if not self.is_fitted:
            return ()
        rows, columns = (self.arrays["grid"].amax(dim=0) + 1).long().tolist()
        return (f"map of {rows} × {columns} units",)


def unit_grid(k: int, rows: int | None) -> Float64[Tensor, "k 2"]:
    """Row and column of every unit; `rows` None: as square as k allows, with no more rows than columns."""
    if rows is None:
        rows = max(divisor for divisor in range(1, math.isqrt(k) + 1) if k % divisor == 0)
    if k % rows:
        divisors = ", ".join(str(divisor) for divisor in range(1, k + 1) if k % divisor == 0)
        raise ClusteringError(f"SOM: {rows} rows do not divide {k} units; rows may be {divisors}.")
    unit = torch.arange(k)
    columns = k // rows
    return torch.stack([unit // columns, unit % columns], dim=1).double()


def spread_on_principal_plane(points: Float[Tensor, "n d"], grid: Float64[Tensor, "k 2"]) -> Float64[Tensor, "k d"]:
    """Units on the plane of the first two principal components, ± one standard deviation along each.

    The grid's longer side lies along the first component. Points on a line have no second one: its units then stand
    in one row, the grid's shorter rows one after the other, since units that begin at one place stay together.
    """
    centred = points.to(torch.float64, copy=True)
    mean = centred.mean(dim=0)
    centred -= mean
    variances, axes = torch.linalg.eigh(centred.T @ centred / len(centred))  # ascending
    deviations = variances.flip(0)[:2].clamp(min=0).sqrt()
    # As wide as that are points on a line, rounded to float32.
    rounding = 4 * torch.finfo(torch.float32).eps * points.abs().max()
    count = 2 if len(deviations) == 2 and deviations[1] > rounding else 1
    sides = axes.flip(1)[:, :count] * deviations[:count]  # (d, count), longer first
    # An axis has two directions: the larger entries point up, so that the map never depends on the solver.
    sides = sides * _sign_of_largest(sides)
    longer_first: Int64[Tensor, " 2"] = grid.amax(dim=0).argsort(descending=True, stable=True)
    place = grid[:, longer_first]
    if count == 1:
        place = (place[:, 0] * (place[:, 1].max() + 1) + place[:, 1]).unsqueeze(1)
    extent = place.amax(dim=0)
    place = torch.where(extent > 0, 2 * place / extent.clamp(min=1) - 1, 0.0)  # -1 to 1
    units: Float64[Tensor, "k d"] = mean + place @ sides.T
    return units


def _sign_of_largest(columns: Float64[Tensor, "d e"]) -> Float64[Tensor, " e"]:
    """The sign of every column's entry of largest magnitude; 1 for a column of zeros."""
    largest = columns.gather(0, columns.abs().argmax(dim=0, keepdim=True))[0]
    return torch.where(largest < 0, -1.0, 1.0).to(columns.dtype)
