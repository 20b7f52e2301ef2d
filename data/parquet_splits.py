"""Which .parquet files make up a split, told by their names.

train-00000-of-00002.parquet, train-00001-of-00002-1a2b3c.parquet     shards of one split, with a hash or without
mnist-Test.parquet, validation.parquet, val/0000.parquet              splits, in any case and anywhere in the name
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from data.files import is_file, is_folder
from data.image_set import DataError
from data.split_names import SPLITS, rest_of, split_of

SUFFIX = ".parquet"
SHARD = re.compile(r"(?P<group>.+)-(?P<number>\d+)-of-(?P<total>\d+)(?P<hash>-[0-9a-f]+)?")
INNER = "data"  # the folder that Hugging Face's repositories keep their files in


def splits_of(path: Path) -> dict[str, list[Path]]:
    """The splits of a file or folder.

    Files of a folder whose names say no split are the train split where none says one, and otherwise "other". A file
    that says no split, or another than train, is the train split itself. Raises DataError for missing shards.
    """
    if not is_folder(path):
        return {split: _complete(files) for split, files in _beside(path).items()}
    found: dict[str | None, list[Path]] = {}
    for file in tables_in(path):
        said = split_of(_group(file)) or (split_of(file.parent.name) if file.parent != path else None)
        found.setdefault(said, []).append(file)
    unsaid = found.pop(None, [])
    found["other" if found else "train"] = unsaid
    return {split: _complete(found[split]) for split in SPLITS if found.get(split)}


def tables_in(folder: Path) -> list[Path]:
    """The .parquet files in the folder, or else in its folders that are called after splits or `data`, by name."""
    own = _sorted(folder.iterdir())
    if own:
        return own
    inner = [entry for entry in sorted(folder.iterdir()) if entry.name.lower() == INNER or split_of(entry.name)]
    return [file for entry in inner if is_folder(entry) for file in _sorted(entry.iterdir())]


def _sorted(entries: Iterable[Path]) -> list[Path]:
    # Hidden files are no data: macOS leaves a `._x.parquet` beside each x.parquet.
    return [
        entry
        for entry in sorted(entries)
        if entry.suffix.lower() == SUFFIX and not entry.name.startswith(".") and is_file(entry)
    ]


def _beside(path: Path) -> dict[str, list[Path]]:
    """The shards of the file's own split as "train", and the other splits of the same set, where it is one of train."""
    own = _group(path)
    files: dict[str, list[Path]] = {}
    for file in _sorted(path.parent.iterdir()):
        group = _group(file)
        split = split_of(group)
        if group == own:
            files.setdefault("train", []).append(file)
        elif split_of(own) == "train" and split not in (None, "train") and rest_of(group) == rest_of(own):
            files.setdefault(split or "", []).append(file)
    files.setdefault("train", [path])
    return {split: files[split] for split in SPLITS if split in files}


def _group(file: Path) -> str:
    match = SHARD.fullmatch(file.stem)
    return match["group"] if match else file.stem


def _complete(files: Sequence[Path]) -> list[Path]:
    """`files`. Raises DataError where one of their shards is missing."""
    shards = [(file, match) for file in files if (match := SHARD.fullmatch(file.stem))]
    there = {(file.parent, match["group"], match["total"], int(match["number"])) for file, match in shards}
    for file, match in shards:
        for number in range(int(match["total"])):
            if (file.parent, match["group"], match["total"], number) not in there:
                name = f"{match['group']}-{number:0{len(match['number'])}}-of-{match['total']}"
                missing = f"{name}{'-…' if match['hash'] else ''}{SUFFIX}"
                raise DataError(f"{file.parent} has {file.name}, but not all its shards: {missing} is missing.")
    return list(files)
