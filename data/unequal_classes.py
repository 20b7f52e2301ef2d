"""Sets whose classes are of unequal size, made from one whose classes are not: for research on such sets.

Labels choose the images here. A method still sees the images alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from jaxtyping import Int64
from torch import Tensor

from data.image_set import DataError, ImageSet
from data.subsets import generator_for


def with_class_sizes(images: ImageSet, sizes: Sequence[int], seed: int) -> ImageSet:
    """So many images of the first classes, drawn without replacement; none of the others.

    Args:
        images: with labels.
        sizes: of the first, the second, … class.
        seed: of the draw.

    Raises DataError where there are no labels, or fewer classes or images than asked for.
    """
    of_these = first_classes(images, len(sizes))
    available = _labels(of_these).bincount(minlength=len(sizes)).tolist()
    for name, size, there in zip(of_these.class_names, sizes, available, strict=True):
        if size > there:
            raise DataError(
                f"{images.name} ({images.split}): {size:,} images of the class {name} were asked for, but there are "
                f"{there:,}. Lower data.class_sizes."
            )
    return _drawn_by_class(of_these, sizes, seed)


def thinned(images: ImageSet, factor: float, seed: int) -> ImageSet:
    """A long tail: of class i of K the share `factor`^(-i / (K - 1)) stays, rounded, at least one image.

    The first class stays whole. This is the profile by which long-tailed versions of balanced sets are made: Cao, Wei,
    Gaidon, Arechiga, Ma, "Learning Imbalanced Datasets with Label-Distribution-Aware Margin Loss", NeurIPS 2019.

    Args:
        images: with labels.
        factor: at least 1; how many times larger the first class is than the last, where they were of one size.
        seed: of the draw.

    Raises DataError where there are no labels.
    """
    classes = len(images.class_names)
    counts = _labels(images).bincount(minlength=classes).tolist()
    shares = [factor ** (-i / max(classes - 1, 1)) for i in range(classes)]
    sizes = [min(count, max(1, round(count * share))) for count, share in zip(counts, shares, strict=True)]
    return _drawn_by_class(images, sizes, seed)


def first_classes(images: ImageSet, count: int) -> ImageSet:
    """All images of the first `count` classes.

    Raises DataError where there are no labels, or fewer classes.
    """
    labels = _labels(images)
    if count > len(images.class_names):
        raise DataError(
            f"{images.name} ({images.split}) has {len(images.class_names)} classes, but data.class_sizes gives the "
            f"sizes of {count}."
        )
    return replace(images.subset((labels < count).nonzero().flatten()), class_names=images.class_names[:count])


def _drawn_by_class(images: ImageSet, sizes: Sequence[int], seed: int) -> ImageSet:
    labels = _labels(images)
    order = torch.randperm(len(images), generator=generator_for("unequal classes", seed))
    drawn = torch.cat([order[labels[order] == label][:size] for label, size in enumerate(sizes)])
    return images.subset(drawn.sort().values)


def _labels(images: ImageSet) -> Int64[Tensor, " n"]:
    if images.labels is None:
        raise DataError(
            f"{images.name} ({images.split}) has no labels, and classes of unequal size are drawn by them. "
            "Leave data.class_sizes and data.long_tail out."
        )
    return images.labels
