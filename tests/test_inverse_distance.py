"""Places of new points, by hand and by Shepard's formula."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from estimators.base import RepresentationError
from estimators.inverse_distance import InverseDistance, distinct_rows


def draw(n: int, d: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed))


def test_by_hand() -> None:
    points = torch.tensor([[0.0], [3.0], [100.0]])
    places = torch.tensor([[0.0, 1.0], [10.0, 1.0], [-5.0, 7.0]])
    extension = InverseDistance(points, places, 2)
    # Distances 1 and 2: weights 1 and 1/4.
    assert extension.transform(torch.tensor([[1.0]])).tolist() == [pytest.approx([10 * 0.25 / 1.25, 1])]
    assert extension.transform(points).tolist() == places.tolist()


def test_it_is_shepards_formula() -> None:
    points, places, new = draw(200, 4), draw(200, 3, 1), draw(30, 4, 2)
    squared = (new[:, None].double() - points[None].double()).square().sum(dim=2)
    nearest, index = squared.topk(5, largest=False)
    weights = (1 / nearest) / (1 / nearest).sum(dim=1, keepdim=True)
    expected = (weights[:, :, None] * places[index].double()).sum(dim=1)
    assert torch.allclose(InverseDistance(points, places, 5).transform(new).double(), expected, atol=1e-6)


def test_known_points_have_their_places_with_and_without_the_search() -> None:
    points, places = draw(100, 4), draw(100, 3, 1)
    extension = InverseDistance(points, places, 5)
    assert torch.equal(extension.transform(points), places)
    assert torch.equal(extension.between(points), places)


def test_minus_zero_is_zero() -> None:
    extension = InverseDistance(torch.tensor([[0.0, 1.0], [5.0, -0.0]]), torch.tensor([[1.0], [2.0]]), 1)
    extension.between = None  # type: ignore[assignment, method-assign]  # no search is needed
    assert extension.transform(torch.tensor([[-0.0, 1.0], [5.0, 0.0]])).tolist() == [[1], [2]]


def test_rows_that_occur_several_times_share_the_mean_of_their_places() -> None:
    points = torch.tensor([[1.0], [2.0], [1.0], [3.0], [1.0], [2.0], [-0.0], [0.0]])
    places = torch.tensor([[3.0], [0.5], [6.0], [8.0], [0.0], [1.5], [4.0], [5.0]])
    rows, mean = distinct_rows(points, places)
    assert rows.tolist() == [0, 1, 3, 6]
    assert mean.flatten().tolist() == [3, 1, 8, 4.5]


def test_places_of_points_that_occur_once_are_not_rounded() -> None:
    points, places = draw(50, 3), draw(50, 2, 1)
    rows, mean = distinct_rows(points, places)
    assert torch.equal(rows, torch.arange(50))
    assert torch.equal(mean, places)


@settings(max_examples=25, deadline=None)
@given(size=st.integers(1, 40), levels=st.sampled_from([2, 4, 1000]), seed=st.integers(0, 1000))
def test_one_batch_or_many(size: int, levels: int, seed: int) -> None:
    # Few levels: equal distances, and new points that are known.
    generator = torch.Generator().manual_seed(seed)
    points = torch.randint(0, levels, (120, 4), generator=generator).float() / 7
    rows, places = distinct_rows(points, torch.randn(120, 3, generator=generator))
    extension = InverseDistance(points[rows], places, 5)
    new = torch.randint(0, levels, (40, 4), generator=generator).float() / 7
    whole = extension.transform(new)
    assert torch.equal(torch.cat([extension.transform(part) for part in new.split(size)]), whole)
    assert torch.equal(extension.between(new), whole)


def test_a_place_lies_within_the_places_of_its_neighbours() -> None:
    points, places = draw(60, 3), draw(60, 2, 1)
    new = torch.cat([points[:10] + 1e-7, points[:10] * 1e12])  # hardly apart, and very far
    found = InverseDistance(points, places, 4).transform(new)
    assert torch.isfinite(found).all()
    assert (found >= places.min(dim=0).values).all()
    assert (found <= places.max(dim=0).values).all()


def test_nan_has_no_place() -> None:
    with pytest.raises(RepresentationError, match="finite"):
        InverseDistance(draw(5, 2), draw(5, 2), 1).transform(torch.full((1, 2), float("nan")))
