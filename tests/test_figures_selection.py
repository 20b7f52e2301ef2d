"""Which images are shown: against hand-made numbers and brute force."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from data.image_set import ImageSet
from evaluation.predictions import Predictions, members, sizes
from methods.base import Assignments
from report.selection import centroid_distances, centroids, lowest, margins, seeded_draw, spread

LABELS = st.lists(st.integers(0, 4), min_size=1, max_size=40).map(torch.tensor)


def predict(points, labels, clusters, probabilities=None, positions=None) -> Predictions:
    images = ImageSet("made", "train", torch.zeros(len(points), 1, 2, 2, dtype=torch.uint8))
    table = None if probabilities is None else torch.tensor(probabilities)
    centres = None if positions is None else torch.tensor(positions)
    return Predictions(
        images,
        torch.tensor(points),
        Assignments(torch.tensor(labels), table),
        clusters,
        "made",
        centroids=centres,
    )


@given(n=st.integers(1, 200), size=st.integers(1, 250), seed=st.integers(0, 2**31))
def test_seeded_draw_is_distinct_ascending_and_repeatable(n, size, seed):
    drawn = seeded_draw(n, size, seed)
    assert drawn.tolist() == sorted(set(drawn.tolist()))
    assert len(drawn) == min(n, size)
    assert drawn.min() >= 0
    assert drawn.max() < n
    assert drawn.tolist() == seeded_draw(n, size, seed).tolist()


def test_seeded_draw_depends_on_the_seed_and_leaves_the_global_generator_alone():
    before = torch.get_rng_state()
    assert seeded_draw(1000, 10, seed=0).tolist() != seeded_draw(1000, 10, seed=1).tolist()
    spread(torch.arange(10), 5)
    assert torch.equal(before, torch.get_rng_state())


@given(labels=LABELS, count=st.integers(1, 45))
def test_spread_takes_clusters_in_turn(labels, count):
    chosen = spread(labels, count)
    assert len(set(chosen.tolist())) == len(chosen) == min(count, len(labels))
    available, taken = sizes(labels, 5).tolist(), sizes(labels[chosen], 5).tolist()
    for cluster in range(5):
        # A cluster has fewer images in the spread than another, by more than one turn, only if it has no more.
        if taken[cluster] < max(taken) - 1:
            assert taken[cluster] == available[cluster]


def test_sizes_and_members_know_empty_clusters():
    labels = torch.tensor([2, 0, 2])
    assert sizes(labels, 4).tolist() == [1, 0, 2, 0]
    assert members(labels, 2).tolist() == [0, 2]
    assert members(labels, 1).tolist() == []


def test_centroids_are_the_means_and_infinite_for_an_empty_cluster():
    predictions = predict([[0.0, 0.0], [2.0, 4.0], [5.0, 5.0]], [0, 0, 2], clusters=3)
    assert centroids(predictions).tolist() == [[1.0, 2.0], [math.inf, math.inf], [5.0, 5.0]]


def test_the_methods_own_centroids_come_first():
    predictions = predict([[0.0], [4.0]], [0, 0], clusters=1, positions=[[3.0]])
    assert centroids(predictions).tolist() == [[3.0]]
    assert centroid_distances(predictions).tolist() == [3.0, 1.0]


def test_margin_is_the_gap_between_the_two_highest_probabilities():
    predictions = predict(
        [[0.0]] * 3,
        [0, 2, 1],
        clusters=3,
        probabilities=[[0.5, 0.25, 0.25], [0.125, 0.0, 0.875], [0.25, 0.5, 0.25]],
    )
    assert margins(predictions).tolist() == [0.25, 0.75, 0.25]


def test_margin_without_probabilities_is_the_gap_between_distances():
    # Centroids at 0, 10 and 30; the point at 4 is 4 from the nearest and 6 from the next.
    positions = [[0.0], [10.0], [30.0]]
    predictions = predict([[4.0], [10.0], [21.0]], [0, 1, 2], clusters=3, positions=positions)
    assert margins(predictions).tolist() == pytest.approx([2.0, 10.0, 2.0])


def test_margin_is_infinite_where_there_is_no_second_cluster():
    assert margins(predict([[0.0], [1.0]], [0, 0], clusters=1)).tolist() == [math.inf, math.inf]
    # The second cluster is empty and has no centroid.
    assert margins(predict([[0.0], [1.0]], [0, 0], clusters=2)).tolist() == [math.inf, math.inf]


@given(labels=LABELS, count=st.integers(1, 10), seed=st.integers(0, 100))
def test_lowest_is_what_sorting_the_members_gives(labels, count, seed):
    scores = torch.rand(len(labels), generator=torch.Generator().manual_seed(seed))
    expected = sorted((score, i) for i, score in enumerate(scores.tolist()) if labels[i] == 1)
    assert lowest(scores, labels, 1, count).tolist() == [i for _, i in expected[:count]]
