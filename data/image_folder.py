"""Images from a folder of pictures, with classes where it has sub-folders.

    folder/*.png                                        images without labels
    folder/<class>/**/*.png                             images with labels
    folder/train/…, folder/val/…, folder/test/…         the same, with splits

`data.layout` says what folders mean, `data.pictures` how pictures of different sizes and kinds become images.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from data import walk
from data.image_set import DataError, ImageSet, NoSplitError, fingerprint
from data.layout import Layout, Parts, arrange
from data.names import Names
from data.pictures import Picture, Pixels, read_pictures
from data.reading import LeftOut, Reading, WasRead
from data.split_names import SPLITS

ENDINGS = ".png, .jpg, .webp, .gif, .bmp, .tif, .avif and what else Pillow reads (.heic with pillow-heif)"


@dataclass(frozen=True)
class Tree:
    """Pictures in folders, wherever these are.

    Attributes:
        path: what the user named.
        paths: where every picture lies below it, sorted.
        pictures: how every picture is read.
        layout: where every picture belongs.
        left_out: what could not be looked into.
        notes: what a person should know.
    """

    path: Path
    paths: Sequence[Parts]
    pictures: Sequence[Picture]
    layout: Layout
    left_out: tuple[LeftOut, ...] = ()
    notes: tuple[str, ...] = ()


def load(path: Path, split: str, reading: Reading | None = None) -> ImageSet:
    """The images of the folder, (n, c, h, w), sorted by path.

    All splits are read at once, and have one size and one number of channels. Raises DataError when there are no
    pictures, when too many cannot be read, or when folders can be understood in two ways.
    """
    reading = reading or Reading()
    found = walk.pictures_below(path)
    if not found.files:
        instead = f", but {walk.kinds(found.others)}{_heic(found)}" if found.others else ", nor do its sub-folders"
        raise DataError(f"{path} holds no images{instead}. Images are {ENDINGS}.")
    if found.left_out and reading.unreadable == "stop":
        raise DataError(f"{path}: {', '.join(name for name, _ in found.left_out)} cannot be looked into.")
    paths = [file.parts for file in found.files]
    layout = arrange(paths, found.folders, str(path), reading.labels == "auto")
    others = (f"passed over: {walk.kinds(found.others)}{_heic(found)}",) if found.others else ()
    pictures = [Picture("/".join(file.parts), file.path, file.stamp) for file in found.files]
    notes = (*layout.notes, *found.notes, *others)
    return load_tree(Tree(path, paths, pictures, layout, tuple(found.left_out), notes), split, reading)


def load_tree(tree: Tree, split: str, reading: Reading) -> ImageSet:
    """The images of one split, or of all.

    Raises DataError where there is no such split, and see `load`.
    """
    splits, path = tree.layout.splits, tree.path
    if split != "all" and split not in splits:
        there = ", ".join(name for name in splits if name != "other") or "none"
        raise NoSplitError(
            f"{path} has no {split} split; its splits: {there}. Put images into its sub-folders train, val and test to "
            "have these."
        )
    order = [i for name in SPLITS for i in splits.get(name, ())]
    pixels = read_pictures([tree.pictures[i] for i in order], reading, str(path), notes=tree.notes)
    kept = [order[i] for i in pixels.kept.tolist()]
    was_read = replace(
        pixels.was_read,
        left_out=(*pixels.was_read.left_out, *tree.left_out),
        notes=(*_sizes(splits, kept), *pixels.was_read.notes),
    )
    return _chosen(tree, split, pixels, kept, was_read)


def _heic(found: walk.Found) -> str:
    """How pictures of telephones can be read, where there are some."""
    return " (pip install -e .[heic] reads these)" if {".heic", ".heif"} & set(found.others) else ""


def _sizes(splits: Mapping[str, Sequence[int]], kept: Sequence[int]) -> list[str]:
    """How many images every split has, where there are several."""
    read = set(kept)
    counts = [f"{sum(i in read for i in members):,} in {name}" for name, members in splits.items() if name != "other"]
    return [", ".join(counts)] if len(counts) > 1 else []


def _chosen(tree: Tree, split: str, pixels: Pixels, kept: Sequence[int], was_read: WasRead) -> ImageSet:
    """Of all images those of the split. Splits lie one after another: they are views, and stay mapped."""
    start, stop = 0, len(kept)
    if split != "all":
        members = set(tree.layout.splits[split])
        start = next((at for at, i in enumerate(kept) if i in members), 0)
        stop = start + sum(i in members for i in kept)
    chosen = kept[start:stop]
    classes = [tree.layout.classes[i] for i in chosen]
    known = sorted({name for name in tree.layout.classes if name is not None})
    labels = None
    if classes and None not in classes:
        numbers = {name: label for label, name in enumerate(known)}
        labels = torch.tensor([numbers[name] for name in classes if name is not None])
    elif any(name is not None for name in classes):
        without = sum(name is None for name in classes)
        note = f"{without:,} of {len(classes):,} images have no class, so that none is given a label"
        was_read = replace(was_read, notes=(*was_read.notes, note))
    images = ImageSet(
        str(tree.path),
        split,
        pixels.images[start:stop],
        labels,
        tuple(known) if labels is not None else (),
        origin=str(tree.path),
        names=Names.of(tree.pictures[i].name for i in chosen),
        was_read=was_read,
    )
    if pixels.entry is not None:
        images.know_fingerprint(pixels.entry.fact(f"fingerprint {start}:{stop}", lambda: fingerprint(images.images)))
    return images
