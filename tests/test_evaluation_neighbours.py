"""Neighbour purity against brute force, with duplicates and few points."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.neighbors import NearestNeighbors

from evaluation.neighbour_purity import neighbour_purity


def data(n: int = 300, d: int = 10, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, d, generator=generator), torch.randint(3, (n,), generator=generator)


@pytest.mark.parametrize("count", [1, 5, 20])
@pytest.mark.parametrize("offset", [0.0, 1e3])
def test_equals_brute_force(count: int, offset: float) -> None:
    points, classes = data()
    # Without a query, scikit-learn leaves every point out of its own neighbours.
    found = NearestNeighbors(n_neighbors=count).fit(points.double().numpy()).kneighbors(return_distance=False)
    expected = (classes[torch.from_numpy(found)] == classes[:, None]).double().mean()
    assert neighbour_purity(points + offset, classes, count) == pytest.approx(float(expected), abs=1e-3)


def test_by_hand() -> None:
    # The nearest two of the points at 0, 1, 2.1 and 3 are those at (1, 2.1), (0, 2.1), (3, 1) and (2.1, 1).
    points = torch.tensor([[0.0], [1.0], [2.1], [3.0]])
    classes = torch.tensor([0, 0, 1, 0])
    assert neighbour_purity(points, classes, 2) == pytest.approx((1 / 2 + 1 / 2 + 0 + 1 / 2) / 4)


def test_a_point_is_never_its_own_neighbour_among_duplicates() -> None:
    # 30 points in one place, every one a class of its own: any share above 0 is the point itself.
    assert neighbour_purity(torch.ones(30, 4), torch.arange(30), 5) == 0.0


def test_pairs_of_duplicates() -> None:
    points = torch.arange(40.0).repeat_interleave(2)[:, None]
    assert neighbour_purity(points, torch.arange(40).repeat_interleave(2), 1) == 1.0
    assert neighbour_purity(points, torch.arange(80), 1) == 0.0


def test_separate_classes_are_pure_and_few_points_suffice() -> None:
    points = torch.cat([torch.randn(30, 3), torch.randn(30, 3) + 100])
    assert neighbour_purity(points, torch.arange(60) // 30) == 1.0
    assert neighbour_purity(torch.randn(5, 2), torch.tensor([0, 0, 0, 0, 0])) == 1.0
    assert neighbour_purity(torch.randn(2, 2), torch.tensor([0, 1])) == 0.0
    assert neighbour_purity(torch.randn(1, 2), torch.tensor([0])) is None


@pytest.mark.parametrize("scale", [1e25, 1e-25])
def test_the_scale_changes_nothing(scale: float) -> None:
    points, classes = data(n=100)
    assert neighbour_purity(points * scale, classes, 5) == pytest.approx(neighbour_purity(points, classes, 5), abs=1e-2)


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 60), st.integers(1, 25), st.integers(0, 10_000))
def test_order_and_names_change_nothing_and_bounds_hold(n: int, count: int, seed: int) -> None:
    points, classes = data(n=n, d=4, seed=seed)
    order = torch.randperm(n, generator=torch.Generator().manual_seed(seed))
    value = neighbour_purity(points, classes, count)
    assert value is not None
    assert 0 <= value <= 1
    names = torch.tensor([7, 0, 3])
    assert neighbour_purity(points[order], names[classes][order], count) == pytest.approx(value, abs=1e-9)
