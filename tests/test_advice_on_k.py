"""The advice on k: what the rule makes of rows, and whether it finds the number of groups that a test has made."""

from __future__ import annotations

import pytest

from benchmarks.studies.known_k import mixture, rows_over_k
from report.comparison.advice import advise
from report.rows import Row


def row(k: int, seeds: float | None, halves: float | None, silhouette: float | None, **others: object) -> Row:
    return {
        "k": k,
        "stability_seeds": seeds,
        "stability_halves": halves,
        "silhouette": silhouette,
        "space": "pixels (64-d)",
        **others,  # type: ignore[dict-item]
    }


def test_the_separated_one_of_the_stable_k_is_advised_with_its_reasons() -> None:
    rows = [
        row(5, 0.70, 0.72, 0.15, bic=30.0),
        row(7, 0.94, 0.91, 0.21, bic=20.0),
        row(9, 0.80, 0.66, 0.18, bic=10.0),
    ]
    found = advise(rows)
    assert found.k == 7
    assert found.sentence == (
        "k = 7: most stable over seeds (ARI 0.94) and halves (0.91), silhouette highest (0.21, pixels (64-d)). "
        "BIC prefers 9."
    )
    assert advise(rows[::-1]) == found
    better = [{**one, "bic": -float(str(one["bic"]))} for one in rows]
    assert advise([{**better[0]}, {**better[1], "bic": -50.0}, {**better[2]}]).sentence.endswith("BIC prefers it too.")


def test_a_small_k_does_not_win_by_its_stability_alone() -> None:
    """Two coarse clusters are stable under any seed (von Luxburg 2010): what is separated decides."""
    found = advise([row(2, 1.0, 1.0, 0.12), row(6, 0.7, 0.6, 0.14), row(10, 0.9, 0.88, 0.2), row(14, 0.7, 0.7, 0.17)])
    assert found.k == 10
    assert found.sentence.startswith("k = 10: stable over")


def test_a_k_between_stable_neighbours_is_not_kept_however_separated() -> None:
    found = advise([row(3, 0.95, 0.9, 0.2), row(4, 0.7, 0.7, 0.5), row(5, 0.95, 0.9, 0.3)])
    assert found.k == 5
    assert "k = 4 has a higher one (0.50) and is less stable" in found.sentence
    assert "It is the largest k that was tried" in found.sentence


def test_the_smaller_of_both_stabilities_counts() -> None:
    found = advise([row(3, 1.0, 0.3, 0.5), row(4, 0.8, 0.8, 0.2), row(5, 0.4, 0.9, 0.4)])
    assert found.k == 4


def test_the_smallest_k_that_was_tried_is_said_to_be_that() -> None:
    found = advise([row(4, 0.9, 0.9, 0.5), row(8, 0.5, 0.5, 0.2)])
    assert found.k == 4
    assert "It is the smallest k that was tried: try smaller ones." in found.sentence
    assert "smallest" not in advise([row(2, 0.9, 0.9, 0.5), row(8, 0.5, 0.5, 0.2)]).sentence


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([row(3, 0.5, 0.64, 0.2), row(4, 0.6, 0.5, 0.2)], "Nothing speaks for any k: the most stable is k = 3"),
        ([row(3, 0.9, 0.9, -0.1), row(4, 0.6, 0.5, 0.2)], "its clusters are not separated (silhouette -0.10)"),
        ([row(3, 0.9, 0.9, 0.2)], "k = 3 has nothing to compare with. Its stability: seeds (ARI 0.90) and halves"),
        ([row(30, 0.9, None, 0.2), row(40, 0.9, None, 0.2)], "no k has the runs that its stability needs"),
        ([row(5, 1.0, 0.8, 0.2, notes="finds k itself: 5")], "this method finds k itself"),
        ([], "no k has the runs"),
    ],
)
def test_where_nothing_speaks_it_says_so(rows: list[Row], words: str) -> None:
    found = advise(rows)
    assert found.k is None
    assert words in found.sentence


def test_one_seed_leaves_the_halves_to_speak() -> None:
    found = advise([row(3, None, 0.5, 0.1), row(4, None, 0.9, 0.2), row(5, None, 0.6, 0.1)])
    assert found.sentence.startswith("k = 4: most stable over halves (ARI 0.90), silhouette highest")


def test_labels_reach_no_advice() -> None:
    rows = [row(3, 0.9, 0.9, 0.2), row(4, 0.8, 0.8, 0.1)]
    told = [{**rows[0], "watch_only_ari": 0.0}, {**rows[1], "watch_only_ari": 1.0}]
    assert advise(told) == advise(rows)


@pytest.mark.parametrize(
    ("groups", "each", "ks"),
    [(3, 30, (2, 3, 4, 6)), (10, 30, (6, 8, 10, 12, 15)), (40, 20, (20, 30, 40, 50))],
)
def test_the_groups_of_a_mixture_are_found(groups: int, each: int, ks: tuple[int, ...]) -> None:
    rows = rows_over_k("raw-kmeans", ["cluster.redos=20"], mixture(groups, each, seed=0), ks, range(2))
    found = advise(rows)
    assert found.k == groups, found.sentence


def test_one_cloud_without_groups_gives_no_advice() -> None:
    rows = rows_over_k("raw-kmeans", [], mixture(1, 200, seed=0), (2, 3, 5, 8), range(2))
    assert advise(rows).k is None
