"""A run whose sizes are held to a prior says which sizes the features alone would give."""

from __future__ import annotations

import pytest
import torch

from configs.schema import RuntimeSettings
from engine.processes import launch
from parts.free_sizes import FreeSizes
from parts.size_prior import SizePriorSettings
from tests.small import run_config, small_config


def blobs(*sizes: int) -> torch.Tensor:
    """So many points around each of a few places that are far apart, all of length 1."""
    generator = torch.Generator().manual_seed(0)
    points = [torch.eye(8)[place] + 0.1 * torch.randn(n, 8, generator=generator) for place, n in enumerate(sizes)]
    return torch.nn.functional.normalize(torch.cat(points), dim=1)


def test_the_note_counts_what_would_have_to_move() -> None:
    free = FreeSizes()
    assert free.notes(SizePriorSettings(), 3) == ()
    free.arrays = free.find(blobs(180, 10, 10), 3, 8, seed=0)
    assert free.arrays["shares"].tolist() == [0.9, 0.05, 0.05]
    # 90 - 33.3 of 100 images would leave the largest third: half of |90 - 33.3| + 2 · |5 - 33.3|.
    assert free.notes(SizePriorSettings(), 3) == (
        "sizes held to equal shares; the features alone would give 90, 5, 5 % of the images, 57 % in other clusters: "
        "if classes may differ in size, see docs/unequal-sizes.md",
    )
    assert free.notes(SizePriorSettings(prior=(0.05, 0.9, 0.05)), 3) == (
        "sizes held to a given prior; the features alone would give 90, 5, 5 % of the images, 0 % in other clusters",
    )
    # A fifth of a third is what no cluster is expected to fall below: 2 · (6.67 - 5) of 100 images are missing.
    assert free.notes(SizePriorSettings(prior="learned", prior_freedom=0.8), 3) == (
        "sizes learned, each expected above 6.7 %; the features alone would give 90, 5, 5 % of the images, "
        "3 % in other clusters",
    )


@pytest.mark.parametrize(("freedom", "moved"), [(0.0, 57), (0.4, 30), (0.5, 23), (0.7, 10), (1.0, 0)])
def test_a_learned_prior_that_moves_a_fifth_is_hard_too(freedom: float, moved: int) -> None:
    """Two clusters of 5 % lack 2 · (100 (1 - s) / 3 - 5) %; at s = 0 it is as with equal shares."""
    free = FreeSizes()
    free.arrays = {"shares": torch.tensor([0.9, 0.05, 0.05], dtype=torch.float64)}
    (note,) = free.notes(SizePriorSettings(prior="learned", prior_freedom=freedom), 3)
    assert f" {moved} % in other clusters" in note
    assert note.endswith("see docs/unequal-sizes.md") == (moved >= 20)


def test_many_neighbours_do_not_hide_a_small_class() -> None:
    few, many = (FreeSizes().find(blobs(120, 60, 20), 3, neighbours, seed=0)["shares"] for neighbours in (20, 150))
    assert few.tolist() == many.tolist() == [0.6, 0.3, 0.1]


def test_advice_is_for_priors_that_move_a_fifth_of_the_images() -> None:
    free = FreeSizes()
    for largest, advised in ((0.69, False), (0.71, True)):
        free.arrays = {"shares": torch.tensor([largest, 1 - largest], dtype=torch.float64)}
        (note,) = free.notes(SizePriorSettings(), 2)
        assert ("see docs/unequal-sizes.md" in note) == advised


def test_equal_clusters_are_no_news_and_many_are_not_all_named() -> None:
    free = FreeSizes()
    free.arrays = free.find(blobs(60, 60, 60), 3, 8, seed=0)
    assert free.notes(SizePriorSettings(), 3)[0].endswith("33, 33, 33 % of the images, 0 % in other clusters")
    free.arrays = {"shares": torch.full((20,), 0.05, dtype=torch.float64)}
    assert "5, 5, … % of the images" in free.notes(SizePriorSettings(), 20)[0]


@pytest.mark.parametrize("name", ["pace", "scan", "temi", "turtle"])
def test_a_run_and_its_checkpoint_say_it(name: str) -> None:
    images = torch.randint(0, 256, (80, 1, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    config = small_config(name, settings=["clusters=2"])
    method = run_config(config, images, launch(RuntimeSettings(device="cpu"))).method
    (note,) = method.notes
    assert note.startswith("sizes held to equal shares; the features alone would give ")
    state = method.state_dict()
    assert state["free_sizes._extra_state"]["shares"].sum() == 1
    del state["free_sizes._extra_state"]  # of a run of before there were any
    method.load_state_dict(state)
    assert method.notes == ()
