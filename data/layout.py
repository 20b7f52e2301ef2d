"""What a tree of pictures says by its folders: splits and classes. The tree may lie on a disk or in an archive."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from data.image_set import DataError
from data.split_names import SPLITS

Parts = tuple[str, ...]
"""A path below what the user named, as the names of its folders and of the file."""

WORDS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation"), "validation"),
    **dict.fromkeys(("test", "testing"), "test"),
}
"""Names of folders that are splits, in small letters."""


@dataclass(frozen=True)
class Layout:
    """Where every picture belongs.

    Attributes:
        splits: positions of the pictures of every split that there is, in the order of `SPLITS`.
        classes: the class of every picture, by position; None where it has none.
        notes: what a person should know, in short sentences.
    """

    splits: Mapping[str, Sequence[int]]
    classes: Sequence[str | None]
    notes: tuple[str, ...] = ()


def split_named(name: str) -> str | None:
    """The split for which a folder of this name stands, if any."""
    return WORDS.get(name.lower())


def arrange(paths: Sequence[Parts], folders: Collection[Parts], what: str, labelled: bool = True) -> Layout:
    """Splits and classes of the pictures at `paths`, which are sorted.

    Args:
        paths: of the pictures.
        folders: all folders that were looked into, empty ones as well.
        what: the user's name for the tree, for messages.
        labelled: whether sub-folders are classes; otherwise no picture has one.

    Raises DataError where pictures lie both beside and in what would be classes, or a split is empty.
    """
    base = _base(paths)
    named = {name: split_named(name) for name in sorted(_folders_at(base, folders))}
    if not _are_splits(named, paths, base):
        classes = _classes(paths, range(len(paths)), base, what, labelled)
        return Layout({"train": range(len(paths))}, [classes.get(i) for i in range(len(paths))])
    found: dict[str, list[int]] = {split: [] for split in SPLITS}
    for i, path in enumerate(paths):
        found[(len(path) > len(base) + 1 and named.get(path[len(base)])) or "other"].append(i)
    classes = {}
    for name, split in named.items():
        if split is None:
            continue
        inside = [i for i in found[split] if paths[i][len(base)] == name]
        if not inside:
            raise DataError(f"{'/'.join((what, *base, name))} holds no images. Fill this split, or take it away.")
        classes |= _classes(paths, inside, (*base, name), what, labelled)
    splits = {split: found[split] for split in SPLITS if found[split]}
    notes = [f"{name}/ is the split {split}" for name, split in named.items() if split and name != split]
    notes += _beside([paths[i] for i in splits.get("other", ())], len(base), named)
    return Layout(splits, [classes.get(i) for i in range(len(paths))], tuple(notes))


def _base(paths: Sequence[Parts]) -> Parts:
    """The folder that holds it all: one folder alone around others, or around all pictures, says nothing."""
    base: Parts = ()
    while True:
        depth = len(base)
        firsts = {path[depth] for path in paths if len(path) > depth + 1}
        if len(firsts) != 1 or any(len(path) == depth + 1 for path in paths):
            return base
        only = firsts.pop()
        around = {len(path) > depth + 2 for path in paths}
        if split_named(only) or len(around) == 2:  # a class with pictures on two levels
            return base
        base = (*base, only)


def _folders_at(base: Parts, folders: Collection[Parts]) -> set[str]:
    return {folder[len(base)] for folder in folders if len(folder) > len(base) and folder[: len(base)] == base}


def _are_splits(named: Mapping[str, str | None], paths: Sequence[Parts], base: Parts) -> bool:
    """Whether folders of these names are splits: all of them, or train beside another. A class may be called train."""
    depth = len(base)
    filled = {path[depth] for path in paths if len(path) > depth + 1}
    kinds = {split for split in named.values() if split is not None}
    return ("train" in kinds and len(kinds) > 1) or (
        bool(kinds)
        and all(named[name] for name in filled if name in named)
        and not any(len(path) == depth + 1 for path in paths)
    )


def _classes(paths: Sequence[Parts], inside: Sequence[int], base: Parts, what: str, labelled: bool) -> dict[int, str]:
    """The class of every picture in the folder `base`; none where all lie in it directly."""
    if not labelled:
        return {}
    depth = len(base)
    loose = [i for i in inside if len(paths[i]) == depth + 1]
    below = [i for i in inside if len(paths[i]) > depth + 1]
    if loose and below:
        raise DataError(
            f"{'/'.join((what, *base))} holds {len(loose):,} images itself ({paths[loose[0]][-1]}, …) and "
            f"{len(below):,} in sub-folders ({'/'.join(paths[below[0]][depth:])}, …). Sub-folders are classes: put "
            "each image into one. Or take all images without classes: data.labels=none."
        )
    return {i: paths[i][depth] for i in below}


def _beside(others: Sequence[Parts], depth: int, named: Mapping[str, str | None]) -> list[str]:
    if not others:
        return []
    shown = sorted({f"{path[depth]}/" if len(path) > depth + 1 else "images" for path in others})
    splits = " and ".join(f"{name}/" for name, split in named.items() if split)
    return [f"{', '.join(shown)} beside {splits} ({len(others):,} images) are in no split but all"]
