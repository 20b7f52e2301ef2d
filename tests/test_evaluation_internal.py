"""Silhouette, Davies-Bouldin and Calinski-Harabasz against scikit-learn in float64, and by hand."""

import math
from collections.abc import Callable
from random import Random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics

from evaluation import internal
from evaluation.internal import calinski_harabasz, davies_bouldin, silhouette

Score = Callable[[torch.Tensor, torch.Tensor], float | None]
ALL: dict[Score, Callable[..., float]] = {
    silhouette: metrics.silhouette_score,
    davies_bouldin: metrics.davies_bouldin_score,
    calinski_harabasz: metrics.calinski_harabasz_score,
}


def blobs(
    n: int = 300, d: int = 5, k: int = 4, spread: float = 0.5, seed: int = 0
) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    clusters = torch.randint(k, (n,), generator=generator)
    centres = torch.randn(k, d, generator=generator)
    return centres[clusters] + spread * torch.randn(n, d, generator=generator), clusters


def assert_equal_to_scikit_learn(points: torch.Tensor, clusters: torch.Tensor, tolerance: float = 1e-5) -> None:
    for score, reference in ALL.items():
        expected = reference(points.double().numpy(), clusters.numpy())
        assert score(points, clusters) == pytest.approx(expected, rel=tolerance, abs=tolerance), score


@pytest.mark.parametrize("tile", [7, 64, 1024])
@pytest.mark.parametrize("d", [1, 5, 784])
def test_all_equal_scikit_learn_whatever_the_tiles(monkeypatch: pytest.MonkeyPatch, tile: int, d: int) -> None:
    monkeypatch.setattr(internal, "TILE", tile)
    assert_equal_to_scikit_learn(*blobs(d=d))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_both_precisions_and_gaps_in_the_numbering(dtype: torch.dtype) -> None:
    points, clusters = blobs(spread=1.0, seed=1)
    assert_equal_to_scikit_learn(points.to(dtype), clusters * 3 + 2)


def test_far_from_the_origin() -> None:
    points, clusters = blobs(spread=0.2)
    assert_equal_to_scikit_learn(points + 1e4, clusters)


@pytest.mark.parametrize("scale", [1e25, 1e-30])
def test_no_overflow_or_underflow_of_squares(scale: float) -> None:
    points, clusters = blobs()
    for score in ALL:
        assert score(points * scale, clusters) == pytest.approx(score(points, clusters), rel=1e-4)


@pytest.mark.parametrize("spread", [1e-2, 1e-4, 0.0])
def test_tight_clusters_and_duplicates_keep_their_silhouette(spread: float) -> None:
    points, clusters = blobs(n=600, spread=spread)
    expected = metrics.silhouette_score(points.double().numpy(), clusters.numpy())
    assert silhouette(points, clusters) == pytest.approx(expected, abs=1e-6)


def test_duplicates_far_from_their_clusters_centre() -> None:
    # Every cluster is two piles of equal points, so that half of its distances are exactly 0.
    piles = torch.randn(10, 8, generator=torch.Generator().manual_seed(0))
    points, clusters = piles.repeat_interleave(40, dim=0), torch.arange(400) // 80
    expected = metrics.silhouette_score(points.double().numpy(), clusters.numpy())
    assert silhouette(points, clusters) == pytest.approx(expected, abs=1e-4)


def test_values_by_hand_on_a_line() -> None:
    points, clusters = torch.tensor([[0.0], [1.0], [10.0]]), torch.tensor([0, 0, 1])
    # a = 1 for the first two; b = 10 and 9; the third is alone and scores 0.
    assert silhouette(points, clusters) == pytest.approx((9 / 10 + 8 / 9 + 0) / 3)
    # Centroids 0.5 and 10, spreads 0.5 and 0.
    assert davies_bouldin(points, clusters) == pytest.approx(0.5 / 9.5)
    # Mean 11/3: B = 2 (0.5 - 11/3)² + (10 - 11/3)², W = 0.5, k = 2, n = 3.
    between = 2 * (0.5 - 11 / 3) ** 2 + (10 - 11 / 3) ** 2
    assert calinski_harabasz(points, clusters) == pytest.approx(between / 1 * 1 / 0.5)


def test_points_alone_in_their_cluster() -> None:
    points, clusters = blobs(n=60)
    clusters = torch.cat([clusters[:-2], torch.tensor([8, 9])])
    assert_equal_to_scikit_learn(points, clusters)


@pytest.mark.parametrize("score", ALL)
@pytest.mark.parametrize("clusters", [[0, 0, 0, 0], [3, 3, 3, 3], [0, 1, 2, 3]])
def test_undefined_for_one_cluster_and_for_as_many_as_points(score: Score, clusters: list[int]) -> None:
    assert score(torch.randn(4, 2), torch.tensor(clusters)) is None


def test_all_points_equal() -> None:
    points, clusters = torch.ones(6, 3), torch.tensor([0, 0, 0, 1, 1, 1])
    assert silhouette(points, clusters) == 0.0
    assert davies_bouldin(points, clusters) is None
    assert calinski_harabasz(points, clusters) is None


def test_coinciding_centroids_and_clusters_without_spread() -> None:
    cross = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
    assert davies_bouldin(cross, torch.tensor([0, 0, 1, 1])) is None
    piles = torch.tensor([[0.0], [0.0], [1.0], [1.0]])
    assert davies_bouldin(piles, torch.tensor([0, 0, 1, 1])) == 0.0
    assert calinski_harabasz(piles, torch.tensor([0, 0, 1, 1])) is None
    assert silhouette(piles, torch.tensor([0, 0, 1, 1])) == 1.0


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(-9, 9), st.integers(-9, 9)), min_size=3, max_size=30),
    st.randoms(use_true_random=False),
)
def test_order_and_names_change_nothing_and_bounds_hold(samples: list[tuple[int, int, int]], random: Random) -> None:
    points = torch.tensor([sample[1:] for sample in samples], dtype=torch.float32)
    clusters = torch.tensor([sample[0] for sample in samples])
    order, names = list(range(len(samples))), list(range(4))
    random.shuffle(order)
    random.shuffle(names)
    for score in ALL:
        value = score(points, clusters)
        moved = score(points[order], torch.tensor(names)[clusters][order])
        if value is None:
            assert moved is None
        else:
            assert moved == pytest.approx(value, rel=1e-4, abs=1e-4)
            assert value >= (-1 if score is silhouette else 0)
            assert value <= (1 if score is silhouette else math.inf)


@pytest.mark.parametrize("score", ALL)
def test_the_points_are_left_as_they_were(score: Score) -> None:
    points, clusters = blobs(n=50)
    before = points.clone()
    score(points, clusters)
    assert torch.equal(points, before)
