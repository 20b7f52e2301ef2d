from typing import Literal

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from data.image_set import DataError, ImageSet
from data.subsets import count_different, draw, drop_duplicates, hold_out


def numbered(n: int, labels: list[int] | None = None) -> ImageSet:
    """Images that each show their own number, in four pixels."""
    numbers = torch.arange(n)
    pixels = torch.stack([numbers // 256, numbers % 256, numbers * 0, numbers * 0 + 7], dim=1).to(torch.uint8)
    if labels is None:
        return ImageSet("toy", "train", pixels.reshape(n, 1, 2, 2))
    names = tuple(f"class {i}" for i in range(max(labels) + 1))
    return ImageSet("toy", "train", pixels.reshape(n, 1, 2, 2), torch.tensor(labels), names)


def numbers_of(images: ImageSet) -> list[int]:
    pixels = images.images.flatten(1).long()
    return (pixels[:, 0] * 256 + pixels[:, 1]).tolist()


def labels_of(images: ImageSet) -> Tensor:
    assert images.labels is not None
    return images.labels


@given(st.lists(st.lists(st.integers(0, 1), min_size=4, max_size=4), min_size=1, max_size=20))
def test_of_equal_images_the_first_stays(rows: list[list[int]]) -> None:
    labels = torch.arange(len(rows))  # all different, which must not matter
    names = tuple(str(i) for i in range(len(rows)))
    images = ImageSet("toy", "train", torch.tensor(rows, dtype=torch.uint8).reshape(-1, 1, 2, 2), labels, names)
    first = sorted(np.unique(np.array(rows), axis=0, return_index=True)[1].tolist())
    kept = drop_duplicates(images)
    assert labels_of(kept).tolist() == first
    assert kept.images.flatten(1).tolist() == [rows[i] for i in first]


def test_equal_hashes_are_no_proof(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("data.subsets.hash", lambda content: 0, raising=False)
    images = numbered(5).subset(torch.tensor([0, 1, 0, 2, 1, 3]))
    assert numbers_of(drop_duplicates(images)) == [0, 1, 2, 3]


def test_one_pixel_of_difference_is_no_duplicate() -> None:
    images = torch.full((3, 3, 4, 4), 9, dtype=torch.uint8)
    images[1, 2, 3, 3] = 8
    kept = drop_duplicates(ImageSet("toy", "train", images))
    assert kept.images[:, 2, 3, 3].tolist() == [9, 8]


def test_without_duplicates_the_set_stays_itself() -> None:
    images = numbered(300)
    assert drop_duplicates(images) is images


@given(st.integers(2, 60), st.floats(0.01, 0.99), st.integers(0, 2**31 - 1))
def test_a_held_out_share_and_the_rest(n: int, share: float, seed: int) -> None:
    images = numbered(n, [i % 3 for i in range(n)])
    held = round(n * share)
    if held in (0, n):
        with pytest.raises(DataError, match="validation share"):
            hold_out(images, share, seed)
        return
    fit, validation = hold_out(images, share, seed)
    assert (len(fit), len(validation)) == (n - held, held)
    assert sorted(numbers_of(fit) + numbers_of(validation)) == list(range(n))
    for part in (fit, validation):
        assert numbers_of(part) == sorted(numbers_of(part))
        assert labels_of(part).tolist() == [i % 3 for i in numbers_of(part)]
    assert (fit.split, validation.split) == ("train", "validation")


def test_the_held_out_share_is_drawn_evenly_and_without_labels() -> None:
    counts = torch.zeros(20)
    for seed in range(300):
        counts[numbers_of(hold_out(numbered(20), 0.25, seed)[1])] += 1
    # Binomial, 300 tries of 1/4: mean 75, standard deviation 7.5.
    assert counts.sum() == 300 * 5
    assert 75 - 5 * 7.5 < counts.min() <= counts.max() < 75 + 5 * 7.5
    labelled = numbered(20, [0] * 10 + [1] * 10)
    assert numbers_of(hold_out(labelled, 0.25, 0)[1]) == numbers_of(hold_out(numbered(20), 0.25, 0)[1])


def test_a_share_that_leaves_nothing_says_so() -> None:
    with pytest.raises(DataError, match="share of 0.01 of 10 images leaves 10 to fit on and 0 to validate on"):
        hold_out(numbered(10), 0.01, 0)
    with pytest.raises(DataError, match="share of 0.99 of 10 images leaves 0 to fit on and 10"):
        hold_out(numbered(10), 0.99, 0)


def test_seeds_decide() -> None:
    images = numbered(50, [i % 5 for i in range(50)])
    hows: tuple[Literal["random", "stratified"], ...] = ("random", "stratified")
    for how in hows:
        drawn = [numbers_of(draw(images, 20, how, seed)) for seed in (0, 0, 1)]
        assert drawn[0] == drawn[1] != drawn[2]
    held = [numbers_of(hold_out(images, 0.4, seed)[1]) for seed in (0, 0, 1)]
    assert held[0] == held[1] != held[2]
    # Two purposes, two orders: what is held out of 50 is not what is drawn of 50.
    assert held[0] != numbers_of(draw(images, 20, "random", 0))


def test_a_random_draw_looks_at_no_label() -> None:
    plain, labelled = numbered(50), numbered(50, [0] * 49 + [1])
    drawn = numbers_of(draw(labelled, 30, "random", 3))
    assert drawn == numbers_of(draw(plain, 30, "random", 3))
    assert drawn == sorted(set(drawn))
    assert len(drawn) == 30


@pytest.mark.parametrize(
    ("counts", "size", "expected"),
    [
        ([50, 30, 20], 10, [5, 3, 2]),
        # Shares 3.5, 2.1, 1.4: the largest remainder gets the seventh.
        ([50, 30, 20], 7, [4, 2, 1]),
        # Shares 1.25 each: of equal remainders the first.
        ([4, 4, 4, 4], 5, [2, 1, 1, 1]),
        # Shares 0.98 and 0.02 of one image.
        ([98, 2], 1, [1, 0]),
        # Shares 1.8, 0.9, 0.3: two more by remainder.
        ([6, 3, 1], 3, [2, 1, 0]),
        # A class that does not occur.
        ([3, 0, 3], 4, [2, 0, 2]),
        ([5, 2], 7, [5, 2]),
    ],
)
def test_a_stratified_draw_by_hand(counts: list[int], size: int, expected: list[int]) -> None:
    labels = [label for label, count in enumerate(counts) for _ in range(count)]
    drawn = draw(numbered(len(labels), labels), size, "stratified", 0)
    assert labels_of(drawn).bincount(minlength=len(counts)).tolist() == expected


@given(st.lists(st.integers(0, 4), min_size=1, max_size=60), st.data())
def test_a_stratified_draw_is_exact_and_within_one_of_proportion(labels: list[int], data: st.DataObject) -> None:
    size = data.draw(st.integers(1, len(labels)))
    images = numbered(len(labels), labels)
    drawn = draw(images, size, "stratified", data.draw(st.integers(0, 9)))
    numbers = numbers_of(drawn)
    assert len(numbers) == size
    assert numbers == sorted(set(numbers))
    assert labels_of(drawn).tolist() == [labels[i] for i in numbers]
    for label in range(5):
        share = labels.count(label) * size / len(labels)
        assert abs([labels[i] for i in numbers].count(label) - share) < 1


def test_within_a_class_the_draw_is_random() -> None:
    counts = torch.zeros(20)
    for seed in range(300):
        counts[numbers_of(draw(numbered(20, [0] * 12 + [1] * 8), 5, "stratified", seed))] += 1
    assert counts[:12].sum() == 300 * 3
    assert counts[12:].sum() == 300 * 2
    # Binomial, 300 tries of 1/4: mean 75, standard deviation 7.5.
    assert 75 - 5 * 7.5 < counts.min() <= counts.max() < 75 + 5 * 7.5


def test_draws_that_cannot_be() -> None:
    with pytest.raises(DataError, match=r"toy .train.: a subset of 1,001 images was asked for, but there are 1,000"):
        draw(numbered(1000), 1001, "random", 0)
    with pytest.raises(DataError, match=r"toy .train. has no labels, and a stratified draw needs them"):
        draw(numbered(10), 5, "stratified", 0)


def test_different_images_are_counted_no_further_than_asked() -> None:
    images = torch.zeros(9, 1, 2, 2, dtype=torch.uint8)
    images[3, 0, 1, 1] = 1
    images[7, 0, 0, 0] = 1
    assert count_different(images, 10) == 3
    assert count_different(images, 2) == 2
    assert count_different(images[:3], 10) == 1
