"""Exact nearest neighbours against brute force."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from estimators.extension import nearest, nearest_label


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def brute_force(points: torch.Tensor, base: torch.Tensor, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    squared = (points.double()[:, None] - base.double()).square().sum(dim=2)
    order = squared.sort(dim=1, stable=True)
    return order.values[:, :count], order.indices[:, :count]


CASES = {
    "few dimensions": normal(300, 3),
    "many dimensions": normal(300, 40),
    "one dimension": normal(300, 1),
    "far from the origin": normal(300, 40) + 1000,
    "tight clumps far apart": 1e-4 * normal(300, 20) + 30 * normal(6, 20)[torch.arange(300) % 6],
    "clumps below float32's resolution of products": 1e-6 * normal(300, 20) + normal(3, 20)[torch.arange(300) % 3],
    "duplicates": normal(30, 20)[torch.arange(300) % 30],
    "one point many times": torch.ones(300, 20),
    "a grid full of ties": torch.cartesian_prod(torch.arange(17.0), torch.arange(17.0)),
    "overflow in float32": 1e25 * normal(300, 20),
    "one far outlier": torch.cat([normal(299, 20), torch.full((1, 20), 1e9)]),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("count", [1, 5])
def test_neighbours_are_those_of_brute_force(case: str, count: int) -> None:
    base = CASES[case]
    points = torch.cat([base[::7], base[:20] + 0.1])
    squared, found = nearest(points, base, count)
    expected, indices = brute_force(points, base, count)
    torch.testing.assert_close(squared, expected, rtol=1e-12, atol=0)
    assert torch.equal(found, indices)


@given(
    rows=st.integers(1, 40),
    sizes=st.lists(st.integers(1, 40), min_size=1, max_size=5),
    dimensions=st.sampled_from([1, 2, 17, 100]),
    seed=st.integers(0, 99),
)
def test_one_batch_or_many(rows: int, sizes: list[int], dimensions: int, seed: int) -> None:
    # Small whole numbers: many distances are equal, and many nearly so once they are scaled.
    generator = torch.Generator().manual_seed(seed)
    base = torch.randint(3, (50, dimensions), generator=generator) * 0.1
    points = torch.randint(3, (rows, dimensions), generator=generator) * 0.1
    whole = nearest(points, base, 4)
    cuts = torch.tensor(sizes).cumsum(0).clamp(max=rows).tolist()
    parts = [nearest(part, base, 4) for part in points.tensor_split(cuts)]
    assert torch.equal(whole[0], torch.cat([squared for squared, _ in parts]))
    assert torch.equal(whole[1], torch.cat([found for _, found in parts]))


def test_a_large_batch_agrees_with_single_points() -> None:
    # faiss multiplies matrices for many points and loops over few: their float32 distances differ.
    base = normal(2000, 200) + 100
    points = base[:1500] + 1e-3 * normal(1500, 200, seed=1)
    _, found = nearest(points, base, 3)
    for row in range(0, 1500, 100):
        assert torch.equal(nearest(points[row : row + 1], base, 3)[1][0], found[row])


@pytest.mark.parametrize("count", [0, 4])
def test_a_count_outside_the_base_is_refused(count: int) -> None:
    with pytest.raises(ValueError, match=f"count must be 1 to 3, the size of the base; received {count}"):
        nearest(torch.zeros(2, 2), torch.zeros(3, 2), count)


def test_no_points_have_no_neighbours() -> None:
    squared, found = nearest(torch.zeros(0, 30), normal(9, 30), 2)
    assert squared.shape == found.shape == (0, 2)


def test_a_fitted_point_has_its_own_label_and_duplicates_that_of_the_first() -> None:
    fitted = torch.cat([normal(100, 5), normal(100, 5)[:3]])
    labels = torch.arange(103)
    own = nearest_label(fitted, fitted, labels)
    assert own.tolist() == [*range(100), 0, 1, 2]


def test_a_new_point_has_the_label_of_its_nearest_neighbour() -> None:
    fitted = torch.tensor([[0.0], [10.0], [20.0]])
    labels = torch.tensor([2, 0, 1])
    assert nearest_label(torch.tensor([[4.0], [6.0], [99.0], [5.0]]), fitted, labels).tolist() == [2, 0, 1, 2]
