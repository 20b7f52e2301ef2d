import numpy as np
from sklearn.datasets import load_digits

from data import digits
from data.image_set import concatenate


def test_the_splits_are_the_published_order_cut_once() -> None:
    train, test = digits.load("train"), digits.load("test")
    assert (len(train), len(test)) == (1415, 382)
    together = concatenate(train, test)
    assert together.labels is not None
    assert together.labels.tolist() == load_digits().target.tolist()
    assert together.images.shape == (1797, 1, 8, 8)


def test_values_run_from_0_to_255() -> None:
    # The first digit's first row is 0 0 5 13 9 1 0 0 of 16: 5 · 255 / 16 = 79.7, 207.2, 143.4, 15.9.
    train = digits.load("train")
    assert train.images[0, 0, 0].tolist() == [0, 0, 80, 207, 143, 16, 0, 0]
    original = load_digits().images[:1415]
    back = train.images[:, 0].numpy() * (16 / 255)
    assert np.abs(back - original).max() <= 0.5 * 16 / 255 + 1e-9
    assert train.images.max() == 255


def test_the_cut_is_where_a_form_starts() -> None:
    target = load_digits().target
    assert target[digits.TRAIN_SIZE : digits.TRAIN_SIZE + 20].tolist() == [*range(10), *range(10)]
    assert target[digits.TRAIN_SIZE - 10 : digits.TRAIN_SIZE].tolist() != list(range(10))


def test_every_class_is_in_both_splits() -> None:
    for split, fewest in (("train", 130), ("test", 30)):
        labels = digits.load(split).labels
        assert labels is not None
        assert np.bincount(labels.numpy(), minlength=10).min() >= fewest
