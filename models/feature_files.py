"""Features that a person has: one vector an image, from .npy, .npz or .parquet."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from models.autoencoder import ModelError

FORM = (
    "Features are numbers, (n, d), a row an image: a .npy file, `features` of an .npz file, or a .parquet file with a "
    "column `features` of lists, or with columns of numbers alone."
)


def read_features(file: Path) -> Float[Tensor, "n d"]:
    """The features in a file, float32. Labels in it are not looked at, and nothing is unpickled.

    Raises:
        ModelError: when there is no such file, or it is of another form.
    """
    if not file.is_file():
        raise ModelError(f"there is no file {file}, which should hold features.")
    try:
        found = np.asarray(_array(file))
    except (OSError, ValueError, KeyError, EOFError) as error:
        raise ModelError(f"{file} cannot be read: {error!s:.160}. {FORM}") from error
    if found.ndim != 2 or found.dtype.kind not in "fiu" or not found.shape[1]:
        raise ModelError(f"{file} holds {found.dtype} of shape {list(found.shape)}. {FORM}")
    features = torch.from_numpy(found.astype(np.float32))
    if not bool(torch.isfinite(features).all()):
        raise ModelError(f"{file} holds numbers that are NaN or infinite. {FORM}")
    return features


def _array(file: Path) -> Any:
    if file.suffix == ".parquet":
        return _from_parquet(file)
    with file.open("rb") as stream:
        content = np.load(stream, allow_pickle=False)
        return content["features"] if isinstance(content, np.lib.npyio.NpzFile) else content


def _from_parquet(file: Path) -> Any:
    import pyarrow
    from pyarrow import parquet

    try:
        table = parquet.read_table(file)
    except pyarrow.ArrowException as error:
        raise ValueError(str(error)) from error
    if "features" in table.column_names:
        return np.array(table["features"].to_pylist())
    return np.column_stack([column.to_numpy() for column in table.columns])
