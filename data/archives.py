"""Pictures in archives: .zip, .tar, .tar.gz and so on, and WebDataset's shards, which are tar files.

An archive is read as the folder that it would be unpacked to. Where every picture of a tar file has a member of the
same name that ends in .cls beside it, as in WebDataset's shards, the text in it is the picture's class. Archives side
by side in a folder are one set; "train-000.tar" and "val.zip" are of the splits that their names begin with.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import re
import shutil
import tarfile
import tempfile
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from threading import Lock
from typing import IO, Any

from data import walk
from data.decode import Unreadable
from data.files import is_file, is_folder, reason
from data.image_folder import Tree, load_tree
from data.image_set import DataError, ImageSet
from data.layout import Parts, arrange, split_named
from data.pictures import Picture
from data.reading import Reading

ENDINGS = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
CLASS = ".cls"
SPLIT = re.compile(r"([A-Za-z]+)([-_.0-9].*)?")

UNPACK: Mapping[tuple[str, ...], Any] = {(".gz", ".tgz"): gzip, (".bz2", ".tbz2"): bz2, (".xz", ".txz"): lzma}

Content = Callable[[], bytes]


@dataclass(frozen=True)
class Member:
    """A file in an archive: where it would lie when unpacked, what gives its bytes, and what tells its version."""

    parts: Parts
    content: Content
    stamp: object


@dataclass
class _Contents:
    """What several archives hold together."""

    pictures: list[tuple[Parts, Picture]] = field(default_factory=list)
    classes: dict[str, str] = field(default_factory=dict)  # by the picture's name
    others: Counter[str] = field(default_factory=Counter)
    folders: set[Parts] = field(default_factory=set)


def holds(folder: Path) -> bool:
    """Whether the folder has archives of pictures, or of what has to be looked into to know."""
    return bool(_archives(folder))


def load(path: Path, split: str, reading: Reading) -> ImageSet:
    """The images of an archive, or of a folder of archives, (n, c, h, w), sorted by path.

    Raises DataError for what is damaged, and as `image_folder.load` does.
    """
    with ExitStack() as opened:  # members are read until the images are there
        return load_tree(_tree(path, reading, opened), split, reading)


def _tree(path: Path, reading: Reading, opened: ExitStack) -> Tree:
    whole = is_folder(path)
    archives = _archives(path) if whole else [path]
    contents = _Contents()
    for archive in archives:
        within = _split_of(archive) if whole else None
        _take(
            _members(archive, opened),
            archive.name,
            contents,
            (archive.name,) if within is None and whole else (within,) if within else (),
        )
    if not contents.pictures:
        instead = f", but {walk.kinds(contents.others)}" if contents.others else ""
        raise DataError(f"{path} holds no images{instead}.")
    contents.pictures.sort(key=lambda item: item[0])
    paths = [parts for parts, _ in contents.pictures]
    pictures = [picture for _, picture in contents.pictures]
    told = len(contents.classes) == len(pictures)
    layout = arrange(paths, contents.folders, str(path), reading.labels == "auto" and not told)
    if told and reading.labels == "auto":
        layout = replace(layout, classes=[contents.classes[picture.name] for picture in pictures])
    others = (f"passed over: {walk.kinds(contents.others)}",) if contents.others else ()
    return Tree(path, paths, pictures, layout, (), (*layout.notes, *others))


def _archives(folder: Path) -> list[Path]:
    return sorted(
        file
        for file in folder.iterdir()
        if file.name.lower().endswith(ENDINGS) and not walk.passed_over([file.name]) and is_file(file)
    )


def _split_of(archive: Path) -> str | None:
    match = SPLIT.fullmatch(archive.name)
    return match[1] if match and split_named(match[1]) else None


def _take(members: Iterable[Member], archive: str, contents: _Contents, within: Parts) -> None:
    members = [member for member in members if not walk.passed_over(member.parts)]
    classes = {_key(member.parts): member for member in members if member.parts[-1].lower().endswith(CLASS)}
    for member in members:
        last = member.parts[-1]
        if walk.is_picture(last):
            name = "/".join((archive, *member.parts))
            parts = (*within, *member.parts)
            contents.pictures.append((parts, Picture(name, member.content, member.stamp)))
            contents.folders |= {parts[:depth] for depth in range(len(parts))}
            beside = classes.get(_key(member.parts))
            if beside is not None:
                contents.classes[name] = beside.content().decode("utf-8", "replace").strip()
        elif not last.lower().endswith(CLASS):
            contents.others[Path(last).suffix.lower()] += 1


def _key(parts: Parts) -> Parts:
    """What WebDataset's members of one sample have in common: the path up to the first dot of the name."""
    return (*parts[:-1], parts[-1].partition(".")[0])


def _members(archive: Path, opened: ExitStack) -> Iterable[Member]:
    try:
        told = archive.stat()
        stamp = (archive.name, told.st_size, told.st_mtime_ns)
        of_kind = _of_zip if archive.name.lower().endswith(".zip") else _of_tar
        return list(of_kind(archive, stamp, opened))
    except (DataError, MemoryError):
        raise
    except Exception as error:  # Damaged archives make their libraries raise all sorts of things.
        raise DataError(f"{archive} cannot be read ({reason(error, archive)}).") from error


def _of_zip(archive: Path, stamp: object, opened: ExitStack) -> Iterator[Member]:
    file = opened.enter_context(zipfile.ZipFile(archive))  # its members are read by several threads, as it allows

    def content(info: zipfile.ZipInfo) -> bytes:
        try:
            return file.read(info)
        except (OSError, RuntimeError, EOFError, ValueError, zipfile.BadZipFile, zlib.error) as error:
            raise Unreadable("encrypted" if info.flag_bits & 1 else "damaged in the archive") from error

    for info in file.infolist():
        parts = _parts(info.filename)
        if parts and not info.is_dir():
            yield Member(parts, partial(content, info), (stamp, info.filename))


def _of_tar(archive: Path, stamp: object, opened: ExitStack) -> Iterator[Member]:
    file = opened.enter_context(tarfile.open(fileobj=_unpacked(archive, opened)))  # noqa: SIM115
    turn = Lock()

    def content(info: tarfile.TarInfo) -> bytes:
        try:
            with turn:  # a tar file has one place at which it is read
                stream = file.extractfile(info)
                return b"" if stream is None else stream.read()
        except (OSError, EOFError, KeyError, zlib.error, tarfile.TarError) as error:
            raise Unreadable("damaged in the archive") from error

    for info in file:
        parts = _parts(info.name)
        if parts and (info.isfile() or info.islnk()):
            yield Member(parts, partial(content, info), (stamp, info.name))


def _parts(name: str) -> Parts:
    return tuple(part for part in name.replace("\\", "/").split("/") if part not in ("", ".", ".."))


def _unpacked(archive: Path, opened: ExitStack) -> IO[bytes]:
    """The tar file without compression, under which no member can be read before those in front of it."""
    ending = archive.suffix.lower()
    packer = next((unpack for endings, unpack in UNPACK.items() if ending in endings), None)
    if packer is None:
        return opened.enter_context(archive.open("rb"))
    with packer.open(archive, "rb") as packed:
        unpacked = opened.enter_context(tempfile.TemporaryFile())  # noqa: SIM115
        shutil.copyfileobj(packed, unpacked, 2**20)
    unpacked.seek(0)
    return unpacked
