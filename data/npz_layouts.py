"""Which arrays of an archive are images, labels and names of classes, by what they are called and by their shapes.

images, labels, class_names                    one split
train_images, train_labels, val_images, …      MedMNIST
x_train, y_train, x_test, y_test               Keras; also X and y, data and target
arr_0, arr_1; any other names                  images and labels, where only one array can be images
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from data.image_set import DataError
from data.layouts import side_of
from data.split_names import SPLITS, WORDS, split_of, words

IMAGES = {"image", "images", "img", "imgs", "x", "data", "picture", "pictures", "pixels", "inputs"}
LABELS = {"label", "labels", "lbl", "lbls", "y", "target", "targets", "class", "classes", "category", "categories"}
CLASS_NAMES = {"class names", "classnames", "target names", "label names", "labelnames", "category names"}
FEWEST_PIXELS = 16  # of a row that is taken for an image without being called one


@dataclass(frozen=True)
class Shape:
    """An array without its numbers: `kind` is numpy's letter for its type."""

    shape: tuple[int, ...]
    kind: str


@dataclass
class Roles:
    """The names of the arrays of every split, and of the class names; and what is neither.

    `by_shape` says that no array is called images, and the one that can be was taken.
    """

    images: dict[str, str] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    class_names: str | None = None
    others: list[str] = field(default_factory=list)
    by_shape: bool = False


def roles_of(arrays: Mapping[str, Shape], what: str, form: str) -> Roles:
    """What the arrays are for.

    Args:
        arrays: by name.
        what: how messages call the archive.
        form: what is allowed, for messages.

    Raises DataError where no array can be images, or where two can and the names do not decide.
    """
    roles = Roles()
    for name in arrays:
        _place(name, roles, what, form)
    if not roles.images:
        _only_images(arrays, roles, what, form)
    for split in set(roles.labels) - set(roles.images):
        roles.others.append(roles.labels.pop(split))
    return roles


def _place(name: str, roles: Roles, what: str, form: str) -> None:
    split = split_of(name)
    said = [word for word in words(name) if word not in WORDS]
    if " ".join(said) in CLASS_NAMES:
        roles.class_names = name
        return
    known = all(word in IMAGES or word in LABELS for word in said) and (said or split)
    ambiguous = split is None and any(word in WORDS for word in words(name))
    if not known or ambiguous:
        roles.others.append(name)
        return
    table = roles.labels if any(word in LABELS for word in said) else roles.images
    split = split or SPLITS[0]
    if split in table:
        raise DataError(
            f"{what} has both `{table[split]}` and `{name}` for the {split} split. Keep one of them under its name. "
            f"{form}"
        )
    table[split] = name


def _only_images(arrays: Mapping[str, Shape], roles: Roles, what: str, form: str) -> None:
    """Takes the one array that can be images, and the one of as many values that can be its labels."""
    train, roles.by_shape = SPLITS[0], True
    candidates = [name for name in roles.others if _can_be_images(arrays[name])]
    if len(candidates) != 1:
        listed = ", ".join(f"{name} {array.shape}" for name, array in arrays.items()) or "nothing"
        problem = "more than one array that can be images" if candidates else "no `images`"
        raise DataError(f"{what} has {problem}; it has: {listed}. {form}")
    roles.images[train] = candidates[0]
    roles.others.remove(candidates[0])
    n = arrays[candidates[0]].shape[0]
    labels = [name for name in roles.others if arrays[name].shape in ((n,), (n, 1)) and arrays[name].kind in "buiUS"]
    if len(labels) == 1 and train not in roles.labels:
        roles.labels[train] = labels[0]
        roles.others.remove(labels[0])


def _can_be_images(array: Shape) -> bool:
    if array.kind not in "buif":
        return False
    if len(array.shape) == 2:
        return array.shape[1] >= FEWEST_PIXELS and side_of(array.shape[1]) is not None
    return len(array.shape) in (3, 4)
