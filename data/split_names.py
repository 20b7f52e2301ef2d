"""Which split a name stands for: "x_train", "mnist-Test", "valid-00000" and the like."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

SPLITS = ("train", "validation", "test", "other")
"""In the order of "all". "other" is what lies beside the others."""
WORDS: Mapping[str, str] = {
    **dict.fromkeys(("train", "training", "trn"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev"), "validation"),
    **dict.fromkeys(("test", "testing", "tst", "t10k"), "test"),
}
WORD = re.compile(r"t10k|[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
JOINED = re.compile(rf"(?P<before>x|y)?(?P<split>{'|'.join(WORDS)})(?P<after>x|y|set|data|images|labels)?")


def words(name: str) -> list[str]:
    """The words of a name in small letters: "trainImages", "x_train", "XTrain" and "xtrain" have two each."""
    found = []
    for word in WORD.findall(name):
        joined = JOINED.fullmatch(word.lower())
        found += [part for part in joined.group("before", "split", "after") if part] if joined else [word.lower()]
    return found


def split_of(name: str) -> str | None:
    """The split that a name says, in any case and anywhere; None where it says none, or more than one."""
    found = {WORDS[word] for word in words(name) if word in WORDS}
    return found.pop() if len(found) == 1 else None


def rest_of(name: str) -> tuple[str, ...]:
    """What a name says beside its split: equal for the files of one set, packed (.gz) or not."""
    rest = tuple(word for word in words(name) if word not in WORDS)
    return rest[:-1] if rest[-1:] == ("gz",) else rest


def beside(name: str, others: Iterable[str]) -> dict[str, str]:
    """The files of a set by split, where `name` is that of the train split: names that differ in the split alone.

    A name of no split, or of another, is the train split, and alone.
    """
    files = {"train": name}
    if split_of(name) != "train":
        return files
    for other in sorted(others):
        split = split_of(other)
        if split is not None and split not in files and rest_of(other) == rest_of(name):
            files[split] = other
    return {split: files[split] for split in SPLITS if split in files}
