"""Features that a person has: one vector an image, from .npy, .npz or .parquet, and if it is there the image's name.

Columns and arrays are told apart as those of points are (`data.points`), with one difference: of a table whole numbers
are never features, since they may be classes or count the rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from data import npy_file, npz_file
from data.files import is_file
from data.image_set import DataError
from data.npz_layouts import IMAGES
from data.npz_points import point_roles, points_in
from data.parquet_points import point_columns, points_of, without_whole_numbers
from data.parquet_rows import schema_of
from data.points import Points, as_points, names_of
from data.reading import Reading
from data.split_names import WORDS, words

FORM = (
    "Features are numbers, (n, d), a row an image: a .npy file, `features` of an .npz file, or a .parquet file with a "
    "column `features` of lists, or with columns of fractions. `names` of an .npz file and a column `file` or `name` "
    "of a .parquet file say which image a row is of."
)
UNLABELLED = Reading(labels="none", kind="points")


@dataclass(frozen=True)
class FeatureFile:
    """What a file of features holds.

    Attributes:
        features: (n, d), float32.
        names: of the image of every row; None where the file has none.
    """

    features: Float[Tensor, "n d"]
    names: list[str] | None = None


def read_features(file: Path) -> FeatureFile:
    """The features in a file. Labels in it are not looked at, and nothing is unpickled.

    Raises:
        DataError: when there is no such file, or it is of another form.
    """
    check_there(file)
    points, named = READERS[file.suffix.lower()](file)
    return FeatureFile(torch.from_numpy(points.values), list(points.names) if named else None)


class FeatureFacts(NamedTuple):
    """What is asked of a file before its features are: their dimensions, and whether its rows have names."""

    dimensions: int
    named: bool


def feature_facts(file: Path) -> FeatureFacts:
    """Of a file that is read for them once, however many configs name it, until it changes.

    Raises:
        DataError: as `read_features`.
    """
    check_there(file)
    return _facts(file, file.stat().st_mtime_ns)


@lru_cache(maxsize=64)
def _facts(file: Path, changed: int) -> FeatureFacts:
    found = read_features(file)
    return FeatureFacts(found.features.shape[1], found.names is not None)


def check_there(file: Path) -> None:
    """Raises DataError where there is no such file, or its name says that it is of another kind."""
    if not is_file(file):
        raise DataError(f"there is no file {file}, which should hold features. {FORM}")
    if file.suffix.lower() not in READERS:
        raise DataError(f"{file} ends in {file.suffix or 'nothing'!r}. {FORM}")


def _from_npy(file: Path) -> tuple[Points, bool]:
    values = as_points(npy_file.array_of(file), str(file))
    return Points(names_of(None, file.name, len(values), str(file)), str(file), values), False


def _from_npz(file: Path) -> tuple[Points, bool]:
    with npz_file.opened(file) as archive:
        shapes = npz_file.shapes(archive, file)
        # Images beside their features are not asked for here.
        apart = {name: shape for name, shape in shapes.items() if not set(words(name)) <= IMAGES | WORDS.keys()}
        roles = point_roles(apart, file, UNLABELLED)
        if roles is None or "train" not in roles.features:
            raise DataError(f"{file} has {', '.join(f'`{name}`' for name in shapes) or 'nothing'}. {FORM}")
        points, _ = points_in(roles, file, lambda name: npz_file.array_in(archive, name, file), UNLABELLED)
    return points["train"], "train" in roles.names


def _from_parquet(file: Path) -> tuple[Points, bool]:
    schema = schema_of(file)
    columns = point_columns(without_whole_numbers(schema), file, UNLABELLED)
    if columns is None:
        there = ", ".join(f"{field.name} ({field.type})" for field in schema) or "nothing"
        raise DataError(f"{file} has no column of features; it has: {there}. {FORM}")
    return points_of({"train": [file]}, columns)["train"], columns.name is not None


READERS = {".npy": _from_npy, ".npz": _from_npz, ".parquet": _from_parquet}
