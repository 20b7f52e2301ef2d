"""Features that a person has: one vector an image, from .npy, .npz or .parquet, and if it is there the image's name."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from models.autoencoder import ModelError

FORM = (
    "Features are numbers, (n, d), a row an image: a .npy file, `features` of an .npz file, or a .parquet file with a "
    "column `features` of lists, or with columns of numbers alone. `names` of an .npz file and a column `file` or "
    "`name` of a .parquet file say which image a row is of."
)
NAMES = ("names", "name", "files", "file")
LABELS = ("labels", "label")
"""Not looked at."""


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
        ModelError: when there is no such file, or it is of another form.
    """
    if not file.is_file():
        raise ModelError(f"there is no file {file}, which should hold features.")
    try:
        array, names = _read(file)
        found = np.asarray(array)
    except (OSError, ValueError, KeyError, EOFError) as error:
        raise ModelError(f"{file} cannot be read: {error!s:.160}. {FORM}") from error
    if found.ndim != 2 or found.dtype.kind not in "fiu" or not found.shape[1]:
        raise ModelError(f"{file} holds {found.dtype} of shape {list(found.shape)}. {FORM}")
    features = torch.from_numpy(found.astype(np.float32))
    if not bool(torch.isfinite(features).all()):
        raise ModelError(f"{file} holds numbers that are NaN or infinite. {FORM}")
    if names is not None and len(names) != len(features):
        raise ModelError(f"{file} holds {len(features):,} features and {len(names):,} names. {FORM}")
    return FeatureFile(features, names)


def _read(file: Path) -> tuple[Any, list[str] | None]:
    if file.suffix == ".parquet":
        return _from_parquet(file)
    with file.open("rb") as stream:
        content = np.load(stream, allow_pickle=False)
        if not isinstance(content, np.lib.npyio.NpzFile):
            return content, None
        named = next((name for name in NAMES if name in content.files), None)
        return content["features"], None if named is None else [str(name) for name in content[named].tolist()]


def _from_parquet(file: Path) -> tuple[Any, list[str] | None]:
    import pyarrow
    from pyarrow import parquet

    try:
        table = parquet.read_table(file)
    except pyarrow.ArrowException as error:
        raise ValueError(str(error)) from error
    named = next((name for name in NAMES if name in table.column_names), None)
    names = None if named is None else [str(name) for name in table[named].to_pylist()]
    if "features" in table.column_names:
        return np.array(table["features"].to_pylist()), names
    kept = [name for name in table.column_names if name not in (*NAMES, *LABELS)]
    return np.column_stack([table[name].to_numpy() for name in kept]), names
