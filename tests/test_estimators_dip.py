"""The dip against a linear programme of its definition, known values, and p-values against a fresh simulation."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from estimators.dip import ROWS, SIZES, dip, dip_p_value

Samples = st.lists(st.integers(-20, 20).map(float), min_size=1, max_size=40).map(np.array)


def by_definition(sample: np.ndarray) -> float:
    """min over unimodal G of sup|F - G|: for every place of the mode, a linear programme in the values of G.

    G is convex up to the mode, may jump there, and is concave from there on.
    """
    values, counts = np.unique(sample, return_counts=True)
    between = [low + share * (high - low) for low, high in pairwise(values) for share in (0.01, 0.5)]
    return min(_with_mode(values, counts / len(sample), mode) for mode in (*values, *between))


def _with_mode(values: np.ndarray, masses: np.ndarray, mode: float) -> float:
    x = np.unique([*values, mode])
    mass = np.zeros(len(x))
    mass[np.searchsorted(x, values)] = masses
    above, middle = np.cumsum(mass), int(np.searchsorted(x, mode))
    below = above - mass
    left, right = list(range(middle + 1)), list(range(middle, len(x)))
    size = len(x) + 2  # the values of G, twice at the mode, and the distance
    rows, limits = [], []

    def at_most(limit: float, *terms: tuple[int, float]) -> None:
        row = np.zeros(size)
        for position, factor in terms:
            row[position] += factor
        rows.append(row)
        limits.append(limit)

    for side, shift, bend in ((left, 0, 1.0), (right, 1, -1.0)):
        for i in side:
            near = {below[i], above[i]} if i != middle else {below[i] if side is left else above[i]}
            for value in near:
                at_most(value, (i + shift, 1), (size - 1, -1))
                at_most(-value, (i + shift, -1), (size - 1, -1))
        for a, b in pairwise(side):
            at_most(0, (a + shift, 1), (b + shift, -1))
        for a, b, c in zip(side, side[1:], side[2:], strict=False):
            first, second = bend / (x[b] - x[a]), bend / (x[c] - x[b])
            at_most(0, (a + shift, -first), (b + shift, first + second), (c + shift, -second))
    at_most(0, (middle, 1), (middle + 1, -1))
    goal = np.zeros(size)
    goal[-1] = 1
    return float(linprog(goal, A_ub=np.array(rows), b_ub=limits, bounds=(0, 1)).fun)


@pytest.mark.parametrize("seed", range(6))
def test_it_is_the_least_distance_to_a_distribution_of_one_mode(seed: int) -> None:
    generator = np.random.default_rng(seed)
    n = int(generator.integers(4, 12))
    spread = generator.normal(size=n)
    for sample in (spread, np.round(2 * spread), spread + 6 * (generator.random(n) < 0.5)):
        assert dip(sample) == pytest.approx(max(by_definition(sample), 1 / (2 * n)), abs=1e-8)


def test_known_values() -> None:
    for n in (1, 2, 5, 100):
        assert dip(np.arange(float(n))) == pytest.approx(1 / (2 * n) if n != 2 else 0.25)
    assert dip(np.array([0.0, 1.0] * 8)) == 0.25
    assert dip(np.full(10, 3.0)) == 0.05
    # Two groups of five evenly spaced values, far apart: the gap is a mass of a half on either side.
    assert dip(np.concatenate([np.arange(5.0), 1e6 + np.arange(5.0)])) == pytest.approx(0.25, abs=0.06)


@settings(deadline=None)
@given(Samples, st.randoms(use_true_random=False))
def test_bounds_and_what_changes_nothing(sample: np.ndarray, random: object) -> None:
    value = dip(sample)
    assert 1 / (2 * len(sample)) - 1e-12 <= value <= max(0.25, 1 / (2 * len(sample))) + 1e-12
    assert dip(np.random.default_rng(0).permutation(sample)) == value
    assert dip(-3 * sample + 7) == pytest.approx(value, abs=1e-12)


def test_values_that_are_nearly_one_do_no_harm() -> None:
    tiny = np.nextafter(1.0, 2.0)
    assert dip(np.array([1.0, tiny, 2.0, 3.0])) == pytest.approx(dip(np.array([1.0, 1.0, 2.0, 3.0])), abs=1e-6)


@pytest.mark.parametrize("n", [60, 1500])
def test_p_values_of_uniform_samples_are_uniform(n: int) -> None:
    """Between two sizes of the table, and with samples that it was not made of."""
    generator, count = np.random.default_rng(987), 1000
    found = np.array([dip_p_value(dip(generator.random(n)), n) for _ in range(count)])
    for level in (0.05, 0.1, 0.25, 0.5, 0.75, 0.9):
        share = float((found <= level).mean())
        assert abs(share - level) < 3.5 * math.sqrt(level * (1 - level) / count) + 0.004


def test_p_values_fall_with_the_dip_and_stay_within_0_and_1() -> None:
    for n in (4, 17, 300, 20_000, 500_000):
        found = [dip_p_value(value, n) for value in np.linspace(1 / (2 * n), 0.25, 200)]
        assert found[0] == 1
        assert found[-1] < 0.01 or n < 10
        assert all(0 <= b <= a for a, b in pairwise(found))
    assert [dip_p_value(1 / (2 * n), n) for n in (1, 2, 3)] == [1, 1, 1]
    assert dip_p_value(0.25, 2) == 1


def test_the_table_ascends_and_settles() -> None:
    assert bool((np.diff(ROWS, axis=1) >= 0).all())
    assert np.abs(ROWS[-1] / ROWS[-2] - 1)[5:-4].max() < 0.02
    assert list(SIZES) == sorted(SIZES)
