"""Sets of unequal classes: their sizes by hand, their seeds, what other splits hold, and what cannot be drawn."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from pydantic import ValidationError

from configs.schema import DataSettings
from data import sources
from data.image_set import DataError, ImageSet
from data.prepare import prepare, protocol_notes
from data.unequal_classes import first_classes, thinned, with_class_sizes
from tests.test_data_subsets import labels_of, numbered, numbers_of


def counts(images: ImageSet) -> list[int]:
    return labels_of(images).bincount(minlength=len(images.class_names)).tolist()


def test_sizes_of_the_first_classes() -> None:
    images = numbered(400, [i % 4 for i in range(400)])
    drawn = with_class_sizes(images, (90, 5, 5), seed=0)
    assert counts(drawn) == [90, 5, 5]
    assert drawn.class_names == ("class 0", "class 1", "class 2")
    numbers = numbers_of(drawn)
    assert numbers == sorted(set(numbers))
    assert labels_of(drawn).tolist() == [number % 4 for number in numbers]


def test_a_long_tail_by_hand() -> None:
    # Of 100 images each: 100 * 100^(-i / 4) = 100, 31.6, 10, 3.16, 1.
    images = numbered(500, [i // 100 for i in range(500)])
    assert counts(thinned(images, 100, seed=0)) == [100, 32, 10, 3, 1]
    assert counts(thinned(images, 1, seed=0)) == [100] * 5
    # Every class keeps an image: 2 * 100^(-1) would be none.
    assert counts(thinned(numbered(4, [0, 0, 1, 1]), 100, seed=0)) == [2, 1]
    # A class that does not occur stays away, and one class alone stays whole.
    assert counts(thinned(numbered(4, [0, 0, 2, 2]), 2, seed=0)) == [2, 0, 1]
    assert counts(thinned(numbered(3, [0, 0, 0]), 9, seed=0)) == [3]


def test_the_seed_decides_and_classes_are_drawn_evenly() -> None:
    images = numbered(60, [i % 3 for i in range(60)])
    drawn = [numbers_of(with_class_sizes(images, (9, 3), seed)) for seed in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2]
    tails = [numbers_of(thinned(images, 4, seed)) for seed in (0, 0, 1)]
    assert tails[0] == tails[1] != tails[2]
    seen = torch.zeros(60)
    for seed in range(300):
        seen[numbers_of(with_class_sizes(images, (5, 5), seed))] += 1
    assert seen[2::3].sum() == 0
    # Binomial, 300 tries of 1/4: mean 75, standard deviation 7.5.
    of_both = torch.cat([seen[0::3], seen[1::3]])
    assert 75 - 5 * 7.5 < of_both.min() <= of_both.max() < 75 + 5 * 7.5


def test_what_cannot_be_drawn() -> None:
    images = numbered(6, [0, 0, 0, 0, 1, 1])
    with pytest.raises(DataError, match="3 images of the class class 1 were asked for, but there are 2"):
        with_class_sizes(images, (1, 3), seed=0)
    with pytest.raises(DataError, match=r"has 2 classes, but data.class_sizes gives the sizes of 3"):
        with_class_sizes(images, (1, 1, 1), seed=0)
    for draw in (lambda: thinned(numbered(9), 2, 0), lambda: first_classes(numbered(9), 2)):
        with pytest.raises(DataError, match=r"has no labels, and classes of unequal size are drawn by them"):
            draw()
    with pytest.raises(ValidationError, match="both say how large classes are"):
        DataSettings(class_sizes=(3, 4), long_tail=10)
    with pytest.raises(ValidationError, match="long_tail"):
        DataSettings(long_tail=0.5)


@pytest.fixture
def _toy(monkeypatch: pytest.MonkeyPatch) -> None:
    def source(split: str, data_root: Path | None) -> ImageSet:
        n = 90 if split == "train" else 30
        return numbered(n, [i % 3 for i in range(n)])

    monkeypatch.setattr(sources, "SOURCES", {"toy": source})


@pytest.mark.usefixtures("_toy")
def test_the_fitted_split_is_drawn_from_whatever_the_runs_seed() -> None:
    settings = DataSettings(name="toy", class_sizes=(20, 4))
    fitted = [numbers_of(prepare(settings, "train", seed)) for seed in (0, 1)]
    assert fitted[0] == fitted[1]
    other = settings.model_copy(update={"sizes_seed": 1})
    assert numbers_of(prepare(other, "train", 0)) != fitted[0]
    # The test images are those of the same classes, and all of them.
    test = prepare(settings, "test", 0)
    assert counts(test) == [10, 10]
    assert counts(prepare(DataSettings(name="toy", long_tail=10), "test", 0)) == [10, 10, 10]


@pytest.mark.usefixtures("_toy")
def test_a_held_out_share_and_a_subset_are_of_the_unequal_set() -> None:
    settings = DataSettings(name="toy", long_tail=10, validation=0.2)
    whole = numbers_of(prepare(settings.model_copy(update={"validation": 0.0}), "train", 0))
    assert len(whole) == 30 + 9 + 3  # 30 * 10^(-1/2) is 9.49
    parts = [numbers_of(prepare(settings, split, 0)) for split in ("train", "validation")]
    assert sorted(parts[0] + parts[1]) == whole
    subset = prepare(settings.model_copy(update={"subset": 10, "validation": 0.0}), "train", 0)
    assert len(subset) == 10
    assert set(numbers_of(subset)) <= set(whole)


def test_tables_say_that_labels_chose_the_images() -> None:
    assert protocol_notes(DataSettings(class_sizes=(900, 50, 50))) == (
        "of the first classes 900, 50, 50 images drawn by class, seed 0 (uses labels)",
    )
    assert protocol_notes(DataSettings(long_tail=50, sizes_seed=3)) == (
        "classes thinned to 1/50 from first to last, seed 3 (uses labels)",
    )
