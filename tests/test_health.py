"""Warnings of clusters: what is news for a number of clusters, and that it is told once."""

from __future__ import annotations

import pytest
import torch

from engine.health import cluster_warning, unusual_share
from engine.progress import Display
from tests.toy import Toy, run


def warned(*sizes: int) -> str | None:
    """What is said of clusters of these sizes."""
    warning = cluster_warning(torch.tensor(sizes))
    return None if warning is None else warning.text


def test_the_limit_is_as_far_from_an_even_share_as_from_all_images() -> None:
    assert [unusual_share(k) for k in (1, 4, 25, 100)] == pytest.approx([1, 1 / 2, 1 / 5, 1 / 10])
    assert [unusual_share(k) * k for k in (2, 3, 10)] == pytest.approx([1 / unusual_share(k) for k in (2, 3, 10)])


def test_which_shares_are_news_depends_on_the_number_of_clusters() -> None:
    # Above 70.7 % of 2 clusters, one half of 4, 31.6 % of 10.
    usual = [(53, 47), (47, 53), (70, 30), (5, 5, 4), (50, 30, 10, 10), (31, 29, *[5] * 8), (10, *[1] * 90)]
    assert {sizes: warned(*sizes) for sizes in usual if warned(*sizes)} == {}
    unusual = [(97, 3), (3, 97), (71, 29), (51, 29, 10, 10), (50, 10, *[5] * 8), (32, 28, *[5] * 8), (12, *[1] * 88)]
    assert [sizes for sizes in unusual if not warned(*sizes)] == []


def test_the_warning_says_what_is_usual() -> None:
    assert warned(9, 1) == (
        "collapsing: cluster 0 holds 90.0% of the images (even shares of 2 clusters are 50.0%, more than 70.7% is "
        "unusual)"
    )
    assert warned(0, 5, 0, 5) == "collapsing: clusters 0, 2 of 4 without images"
    assert warned(0, 2, 8) == (
        "collapsing: cluster 0 of 3 without images; cluster 2 holds 80.0% of the images (even shares of 3 clusters are "
        "33.3%, more than 57.7% is unusual)"
    )


def test_the_same_clusters_with_other_shares_are_no_news(capsys: pytest.CaptureFixture[str]) -> None:
    """Cluster 0 takes over and goes on growing, and later cluster 1 does."""
    sizes = [[39, 10, 1], [44, 5, 1], [41, 8, 1], [5, 44, 1]]
    refreshes = [torch.arange(3).repeat_interleave(torch.tensor(row)) for row in sizes]
    made = run(Toy(refreshes), display=Display())
    notices = [row["notice"].split(" of the images")[0] for row in made.state.history if "notice" in row]
    assert notices == ["collapsing: cluster 0 holds 78.0%", "collapsing: cluster 1 holds 88.0%"]
    assert capsys.readouterr().err.count("collapsing") == 2
