"""The self-organising map against passes worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch

from estimators.base import ClusteringError
from estimators.settings import SOMSettings
from estimators.som import SOMClusterer, spread_on_principal_plane, unit_grid


def fit(points: torch.Tensor, k: int, **options: int) -> SOMClusterer:
    clusterer = SOMClusterer(SOMSettings(**options))
    clusterer.fit(points, k, seed=0)
    return clusterer


@pytest.mark.parametrize(("k", "shape"), [(12, (3, 4)), (10, (2, 5)), (9, (3, 3)), (7, (1, 7)), (2, (1, 2))])
def test_the_grid_is_as_square_as_k_allows(k: int, shape: tuple[int, int]) -> None:
    grid = unit_grid(k, None)
    assert tuple((grid.amax(dim=0) + 1).tolist()) == shape
    assert len(grid.unique(dim=0)) == k


def test_rows_must_divide_the_units() -> None:
    assert unit_grid(12, 2).amax(dim=0).tolist() == [1, 5]
    with pytest.raises(ClusteringError, match="5 rows do not divide 12 units; rows may be 1, 2, 3, 4, 6, 12"):
        fit(torch.randn(20, 2), 12, rows=5)


def test_units_begin_on_the_principal_plane() -> None:
    # Standard deviations 4, 2 and 0 along the axes 1, 0 and 2, around (10, 20, 30).
    signs = torch.cartesian_prod(torch.tensor([-1.0, 1.0]), torch.tensor([-1.0, 1.0]))
    points = torch.stack([10 + 2 * signs[:, 0], 20 + 4 * signs[:, 1], torch.full((4,), 30.0)], dim=1)
    units = spread_on_principal_plane(points, unit_grid(6, 2))  # 2 rows of 3: the longer side along the first axis
    expected = [[10 + 2 * row, 20 + 4 * column, 30] for row in (-1, 1) for column in (-1, 0, 1)]
    torch.testing.assert_close(units, torch.tensor(expected, dtype=torch.float64))


def test_on_a_line_units_begin_one_after_the_other() -> None:
    # Standard deviation 3 around 10; two rows of three: columns side by side, in each the two rows.
    points = torch.tensor([[7.0], [13.0]])
    units = spread_on_principal_plane(points, unit_grid(6, 2))
    expected = [10 + 3 * (2 * (2 * column + row) / 5 - 1) for row in range(2) for column in range(3)]
    torch.testing.assert_close(units, torch.tensor(expected, dtype=torch.float64).unsqueeze(1))


NORMAL = torch.randn(200, 2, generator=torch.Generator().manual_seed(0))
DIRECTION = torch.tensor([[1.0, -0.3, 2.0, 0.0, 0.7]])
THIN = {
    "in one dimension": NORMAL[:, :1],
    "on a line": NORMAL[:, :1] * DIRECTION,
    "on a line far from the origin": NORMAL[:, :1] * DIRECTION + 100,
    "on a short line far from the origin": 1e-3 * NORMAL[:, :1] * DIRECTION + 7,
    "nearly on a line": NORMAL * torch.tensor([1.0, 1e-5]) + 3,
    "nearly on a line, within rounding": NORMAL * torch.tensor([1.0, 1e-7]) + 3,
    "on a plane": NORMAL,
}


def test_all_units_are_used_however_thin_the_points_are() -> None:
    used = {name: len(fit(points, 10).assign(points).labels.unique()) for name, points in THIN.items()}
    assert used == dict.fromkeys(THIN, 10)


def test_all_units_begin_at_different_places() -> None:
    """Grids of 2 × 5, 3 × 4 and 5 × 5, in float32; units that begin at one place would stay together."""
    for k in (10, 12, 25):
        units = {name: spread_on_principal_plane(points, unit_grid(k, None)) for name, points in THIN.items()}
        assert {name: len(u.float().unique(dim=0)) for name, u in units.items()} == dict.fromkeys(THIN, k)


def test_one_pass_by_hand() -> None:
    # Two units on 0 and 10, a neighbourhood one unit wide: each takes exp(-1/2) of the other's points.
    clusterer = fit(torch.tensor([[0.0], [10.0]]), 2, passes=1)
    share = math.exp(-0.5) / (1 + math.exp(-0.5))
    torch.testing.assert_close(clusterer.centroids, torch.tensor([[10 * share], [10 - 10 * share]]))


def test_the_last_pass_has_a_neighbourhood_below_one_unit() -> None:
    clusterer = fit(torch.tensor([[0.0], [10.0]]), 2, passes=30)
    share = math.exp(-1 / (2 * 0.3**2)) / (1 + math.exp(-1 / (2 * 0.3**2)))
    torch.testing.assert_close(clusterer.centroids, torch.tensor([[10 * share], [10 - 10 * share]]))


def test_units_along_a_line_keep_its_order() -> None:
    line = torch.linspace(0, 1, 200)[:, None] * torch.tensor([[3.0, 1.0, 2.0]])
    clusterer = fit(line, 8, rows=1)
    steps = clusterer.centroids[1:, 0] - clusterer.centroids[:-1, 0]
    assert bool((steps > 0).all())
    assert clusterer.criteria(line)["topographic_error"] == 0


def test_neighbours_on_the_grid_are_alike() -> None:
    square = torch.rand(2000, 2, generator=torch.Generator().manual_seed(0))
    clusterer = fit(square, 25)
    units = clusterer.centroids.view(5, 5, 2)
    beside = (units[:, 1:] - units[:, :-1]).norm(dim=2)
    apart = (units[:, 4] - units[:, 0]).norm(dim=1)
    assert beside.max() < 0.35 < 0.6 < apart.min()
    assert clusterer.criteria(square)["topographic_error"] < 0.05
    assert clusterer.assign(square).labels.bincount().min() > 30


def test_errors_by_hand() -> None:
    clusterer = SOMClusterer(SOMSettings())
    # Three units in a row whose places in space are out of order: 0, 10, 4.
    clusterer.arrays = {"centroids": torch.tensor([[0.0], [10.0], [4.0]]), "grid": unit_grid(3, 1)}
    # Nearest two units: of 1: 0 and 2, not beside each other; of 9 and 6.5: 1 and 2, beside each other.
    criteria = clusterer.criteria(torch.tensor([[1.0], [9.0], [6.5]]))
    assert criteria["topographic_error"] == pytest.approx(1 / 3)
    assert criteria["quantisation_error"] == pytest.approx((1 + 1 + 2.5) / 3)


def test_corners_touch() -> None:
    clusterer = SOMClusterer(SOMSettings())
    clusterer.arrays = {
        "centroids": torch.tensor([[0.0], [10.0], [20.0], [1.0]]),  # units 0 and 3 share a corner of the 2 × 2 grid
        "grid": unit_grid(4, 2),
    }
    assert clusterer.criteria(torch.tensor([[0.4]]))["topographic_error"] == 0


def test_more_units_than_different_points() -> None:
    clusterer = fit(torch.tensor([[0.0, 0.0], [1.0, 1.0]]).repeat(5, 1), 9)
    assert bool(torch.isfinite(clusterer.centroids).all())
    assert clusterer.clusters == 9


def test_the_map_is_named() -> None:
    assert fit(torch.randn(30, 2, generator=torch.Generator().manual_seed(0)), 6).notes == ("map of 2 × 3 units",)
