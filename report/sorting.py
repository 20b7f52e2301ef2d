"""A folder for every cluster, with a link to each of its images, or a copy."""

from __future__ import annotations

import os
import re
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

from PIL import Image

from data.image_set import ImageSet
from evaluation.predictions import EvaluationError
from report.answers import NOISE, Answers
from report.originals import Originals
from system.names import printable

FORBIDDEN = re.compile(r'[<>:"/\\|?*\x00-\x1f]')
"""What some system allows in no file's name."""


def sort_into(folder: Path, found: Answers, images: ImageSet, names: Mapping[int, str], copy: bool) -> int:
    """Fill `folder` with a sub-folder for every cluster that has images.

    Originals are never touched. Images that have no file of their own (a row of a table) are written as PNG, as the
    method saw them. All is made beside `folder` under another name, which is `folder` only once it is whole.

    Args:
        folder: new, or empty.
        found: which image is in which cluster.
        images: the images.
        names: what a person calls the clusters.
        copy: copies of the originals in place of links.

    Returns:
        How many images were sorted.

    Raises:
        EvaluationError: the folder is not empty, or cannot be written, or there are no pictures.
    """
    if images.are_points:
        raise EvaluationError("--sort-into sorts pictures, and the data are points. The table has their clusters.")
    check_empty(folder)
    originals = Originals(images)
    clusters = found.cluster.tolist()
    folders = folder_names(sorted(set(clusters)), names)
    target = {cluster: PurePosixPath(name) for cluster, name in folders.items()}
    places = [target[cluster] / name for cluster, name in zip(clusters, apart(clusters, found.files), strict=True)]
    making = folder.absolute().with_name(f".{folder.name}.{os.getpid()}.partial")
    try:
        for name in folders.values():
            (making / name).mkdir(parents=True)
        for position, place in enumerate(places):
            put(making / place, originals.path(position), images, position, copy)
        folder.parent.mkdir(parents=True, exist_ok=True)
        if folder.exists():
            folder.rmdir()
        os.replace(making, folder)
    except OSError as error:
        link = "" if copy else " Where links are not allowed, --copy makes copies."
        raise EvaluationError(f"cannot sort into {folder}: {error.strerror or error}.{link}") from error
    finally:
        shutil.rmtree(making, ignore_errors=True)
    return len(places)


def check_empty(folder: Path) -> None:
    """Refuse a folder that holds anything.

    Raises:
        EvaluationError: it does, or it is a file.
    """
    try:
        holds = next(iter(sorted(folder.iterdir())), None) if folder.exists() else None
    except OSError as error:
        raise EvaluationError(f"cannot write into {folder}: {error.strerror or error}.") from error
    if holds is not None:
        raise EvaluationError(f"{folder} is not empty: it holds {holds.name}. Name a new folder, or empty this one.")


def folder_names(clusters: Sequence[int], names: Mapping[int, str]) -> dict[int, str]:
    """A folder's name for every cluster: "03", "03 boots" where it has a name, "noise"."""
    digits = max(2, len(str(max([*clusters, 0]))))
    found = {}
    for cluster in clusters:
        name = FORBIDDEN.sub("-", printable(names.get(cluster, ""))).strip(" .")[:100]
        found[cluster] = "noise" if cluster == NOISE else f"{cluster:0{digits}} {name}".strip()
    return found


def apart(clusters: Sequence[int], files: Sequence[str]) -> list[str]:
    """A name for every file, of which no two in one cluster are equal, in large or small letters.

    A file keeps its name where no other of its cluster has it. Others take their folders' names before it:
    "cats - a.png" and "dogs - a.png".
    """
    last = [PurePosixPath(file).name or "image" for file in files]
    count = Counter((cluster, name.casefold()) for cluster, name in zip(clusters, last, strict=True))
    taken: set[tuple[int, str]] = set()
    chosen = []
    for cluster, file, name in zip(clusters, files, last, strict=True):
        if count[cluster, name.casefold()] > 1:
            name = " - ".join(part for part in PurePosixPath(file).parts if part not in ("/", ".."))
        stem, ending = os.path.splitext(name)
        number = 2
        while (cluster, name.casefold()) in taken:
            name, number = f"{stem} ({number}){ending}", number + 1
        taken.add((cluster, name.casefold()))
        chosen.append(name)
    return chosen


def put(place: Path, original: Path | None, images: ImageSet, position: int, copy: bool) -> None:
    """A link to the original, a copy of it, or the pixels where there is no original."""
    if original is None:
        pixels = images.images[position].permute(1, 2, 0).numpy()
        safe = place.with_name(f"{FORBIDDEN.sub('-', place.name)}.png")
        Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels).save(safe)
    elif copy:
        shutil.copy2(original, place)
    else:
        place.symlink_to(original)
