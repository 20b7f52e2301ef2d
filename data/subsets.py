"""Parts of a set of images: without duplicates, without a held-out share, drawn at random or by class.

All keep the order of the images, and depend on nothing but the set and the seed.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Literal

import numpy as np
import torch
from jaxtyping import Int64, Num
from torch import Tensor

from data.fingerprints import BLOCK, SIZE, fingerprints
from data.image_set import DataError, ImageSet


def drop_duplicates(images: ImageSet) -> ImageSet:
    """Of images that are equal in every pixel the first. Labels are not compared.

    Fashion-MNIST has none: in its first release 43 images in train and 1 in test were duplicates, and were replaced in
    August 2017 (https://github.com/zalandoresearch/fashion-mnist/issues/44). Report D counts as many in its CSV files,
    so copies of the first release are still about.
    """
    prints = fingerprints(images.images).numpy().view(f"V{SIZE}").reshape(-1)
    _, first, group = np.unique(prints, return_index=True, return_inverse=True)
    firsts = torch.from_numpy(first[group])  # the position of the first image with the same fingerprint
    again = (firsts != torch.arange(len(images))).nonzero().flatten()
    if not len(again):
        return images
    kept = torch.ones(len(images), dtype=torch.bool)
    # Equal fingerprints are a hint, equal pixels the proof.
    for copies in torch.tensor_split(again, -(-len(again) // BLOCK)):
        pixels, originals = images.images[copies], images.images[firsts[copies]]
        kept[copies] = (pixels != originals).flatten(1).any(dim=1)
    return images if bool(kept.all()) else images.subset(kept.nonzero().flatten())


def count_different(images: Num[Tensor, "n c h w"], enough: int) -> int:
    """How many of the images differ in a pixel; counted no further than to `enough`."""
    seen: set[bytes] = set()
    for image in images.numpy():
        if len(seen) == enough:
            break
        seen.add(image.tobytes())
    return len(seen)


def hold_out(images: ImageSet, share: float, seed: int) -> tuple[ImageSet, ImageSet]:
    """The images to fit on and, under the split "validation", a random `share` of all, rounded to whole images.

    Labels are not looked at. Raises DataError where one of the two would be empty.
    """
    n = len(images)
    held = round(n * share)
    if not 0 < held < n:
        raise DataError(
            f"{images.name} ({images.split}): a validation share of {share:g} of {n:,} images leaves "
            f"{n - held:,} to fit on and {held:,} to validate on; both need one at least. Change data.validation."
        )
    order = torch.randperm(n, generator=generator_for("hold out", seed))
    fit, validation = images.subset(order[held:].sort().values), images.subset(order[:held].sort().values)
    return fit, replace(validation, split="validation")


def draw(images: ImageSet, size: int, how: Literal["random", "stratified"], seed: int) -> ImageSet:
    """Exactly `size` of the images, without replacement.

    Args:
        images: the set to draw from.
        size: 1 to len(images).
        how: "random", of all images alike; no label is looked at. "stratified", in the proportions of the classes:
            every class has its exact share of `size` rounded down, and the classes with the largest remainders
            (the first of equal ones) one more.
        seed: of the draw.

    Raises DataError where there are not as many images, or no labels for a stratified draw.
    """
    n = len(images)
    if size > n:
        raise DataError(
            f"{images.name} ({images.split}): a subset of {size:,} images was asked for, but there are {n:,}. "
            "Lower data.subset, or leave it out."
        )
    order = torch.randperm(n, generator=generator_for("draw", seed))
    if how == "stratified":
        order = _by_class(images, order, size)
    return images.subset(order[:size].sort().values)


def _by_class(images: ImageSet, order: Int64[Tensor, " n"], size: int) -> Int64[Tensor, " size"]:
    """Of the images in random order the first of every class, as many as are its due."""
    if images.labels is None:
        raise DataError(
            f"{images.name} ({images.split}) has no labels, and a stratified draw needs them. "
            "data.draw=random looks at none."
        )
    counts = images.labels.bincount()  # by class
    shares = counts * size  # n times the exact shares, to stay within integers
    quotas = shares // len(images)
    remainders = shares % len(images)
    largest = remainders.argsort(descending=True, stable=True)[: size - int(quotas.sum())]
    quotas[largest] += 1
    labels = images.labels[order]
    return torch.cat([order[labels == label][:quota] for label, quota in enumerate(quotas.tolist())])


def generator_for(purpose: str, seed: int) -> torch.Generator:
    """Random numbers of their own for every purpose, so that no draw repeats another's order."""
    digest = hashlib.sha256(f"{purpose} {seed}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))
