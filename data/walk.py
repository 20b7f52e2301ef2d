"""All pictures below a folder, links included, and what else is there. Nothing is left out without being counted."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from data.decode import endings
from data.layout import Parts
from data.reading import LeftOut

PASSED_OVER = (".", "lost+found", "__MACOSX", "@eaDir")
"""Files and folders whose names begin so are nobody's pictures: hidden ones, and what systems leave behind."""
ENDINGS_SHOWN = 6
NO_FOLDER = "folder without access"


@dataclass(frozen=True)
class File:
    """A picture on the disk, and what tells whether it has changed."""

    parts: Parts
    path: Path
    stamp: tuple[int, int] = (0, 0)  # bytes, nanoseconds of the last change


@dataclass
class Found:
    """What is below a folder.

    Attributes:
        files: whose names end as pictures' do, sorted by their parts; links to nothing included.
        folders: all that were looked into.
        left_out: folders that could not be looked into.
        others: how many files have other endings, by ending.
        notes: links that were not followed.
    """

    files: list[File] = field(default_factory=list)
    folders: set[Parts] = field(default_factory=set)
    left_out: list[LeftOut] = field(default_factory=list)
    others: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)


def pictures_below(folder: Path) -> Found:
    """What there is. A folder that several links lead to is taken once.

    Raises OSError where `folder` itself cannot be looked into.
    """
    found = Found()
    above = {os.path.realpath(folder), *map(str, Path(os.path.realpath(folder)).parents)}
    seen = {os.path.realpath(folder)}
    links = list(_look(folder, (), found, seen))
    while links:
        parts, path = links.pop(0)
        real = os.path.realpath(path)
        if real in seen or real in above:
            found.notes.append(_twice(parts))
            continue
        seen.add(real)
        links += _look_if_possible(path, parts, found, seen)
    found.files.sort(key=lambda file: file.parts)
    return found


def has_pictures(folder: Path) -> bool:
    """Whether there is a picture in `folder` or below it. Links to folders are not followed."""
    for _, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(PASSED_OVER)]
        if any(is_picture(name) and not name.startswith(PASSED_OVER) for name in files):
            return True
    return False


def kinds(others: Counter[str]) -> str:
    """How many files there are of every ending: "12 .txt, 3 .svg"; of rare ones together, where there are many."""
    ranked = others.most_common()
    shown = [f"{count:,} {ending or 'without ending'}" for ending, count in ranked[:ENDINGS_SHOWN]]
    rest = sum(count for _, count in ranked[ENDINGS_SHOWN:])
    return ", ".join([*shown, *([f"{rest:,} with {len(ranked) - ENDINGS_SHOWN} other endings"] if rest else [])])


def is_picture(name: str) -> bool:
    """Whether a file of this name is one, by its ending."""
    return os.path.splitext(name)[1].lower() in endings()


def passed_over(parts: Sequence[str]) -> bool:
    """Whether a path has a name that is nobody's."""
    return any(name.startswith(PASSED_OVER) for name in parts)


def _look(folder: Path, parts: Parts, found: Found, seen: set[str]) -> Iterator[tuple[Parts, Path]]:
    """Take what is in `folder` and below; yields links to folders, for later."""
    with os.scandir(folder) as entries:
        inside = sorted(entries, key=lambda entry: entry.name)
    found.folders.add(parts)
    for entry in inside:
        if entry.name.startswith(PASSED_OVER):
            continue
        here, path = (*parts, entry.name), folder / entry.name
        if entry.is_symlink() and _leads_to_folder(entry):
            yield here, path
        elif entry.is_dir(follow_symlinks=False):
            real = os.path.realpath(path)
            if real in seen:
                found.notes.append(_twice(here))
                continue
            seen.add(real)
            yield from _look_if_possible(path, here, found, seen)
        elif is_picture(entry.name):
            found.files.append(File(here, path, _stamp(path)))
        else:
            found.others[os.path.splitext(entry.name)[1].lower()] += 1


def _look_if_possible(folder: Path, parts: Parts, found: Found, seen: set[str]) -> list[tuple[Parts, Path]]:
    try:
        return list(_look(folder, parts, found, seen))
    except OSError:
        found.left_out.append(LeftOut("/".join(parts) + "/", NO_FOLDER))
        return []


def _leads_to_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False  # a link to itself: a picture that cannot be read


def _twice(parts: Parts) -> str:
    return f"{'/'.join(parts)}/ is passed over: a link leads to a folder that is read already"


def _stamp(path: Path) -> tuple[int, int]:
    try:
        told = os.stat(path)
    except OSError:
        return 0, 0
    return told.st_size, told.st_mtime_ns
