"""Images from an .npz file, as `numpy.savez` writes it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor

from data.arrays import LAYOUTS, Array, as_classes, as_images
from data.files import reason
from data.image_set import DataError, ImageSet

FORM = (
    f"An .npz file holds `images`, {LAYOUTS}; if wanted `labels`, (n,), integers from 0; "
    "and if wanted `class_names`, (k,), strings."
)


def load(path: Path, split: str) -> ImageSet:
    """The images of the file, (n, c, h, w). It has no splits: all its images are "train", and "all".

    Without `class_names` the classes are named after the label values that occur. Nothing is unpickled.
    Raises DataError for a file that is damaged or of another form, and for the split "test".
    """
    if split == "test":
        raise DataError(
            f"{path} has no test split: an .npz file is one set of images, the train split. "
            "Keep test images in a file of their own and name that one."
        )
    arrays = _arrays(path)
    images = as_images(arrays["images"], f"{path}: `images`", FORM)
    labels: Tensor | None = None
    class_names: tuple[str, ...] = ()
    if "labels" in arrays:
        labels, class_names = _labels(arrays["labels"], arrays.get("class_names"), path)
        if len(labels) != len(images):
            raise DataError(f"{path} has {len(images)} images but {len(labels)} labels.")
    return ImageSet(str(path), split, torch.from_numpy(images), labels, class_names, origin=str(path))


def _arrays(path: Path) -> dict[str, Array]:
    try:
        # Opened here, because numpy leaves a damaged file open.
        with path.open("rb") as file:
            archive = np.load(file, allow_pickle=False)
            if not isinstance(archive, np.lib.npyio.NpzFile):
                raise DataError(f"{path} holds a single bare array (.npy). {FORM}")
            if "images" not in archive.files:
                raise DataError(f"{path} has no `images`; it has: {', '.join(archive.files) or 'nothing'}. {FORM}")
            arrays: dict[str, Any] = {
                key: archive[key] for key in ("images", "labels", "class_names") if key in archive.files
            }
    except DataError:
        raise
    except MemoryError as error:
        raise DataError(
            f"{path} claims arrays that do not fit into the memory ({reason(error, path)}). {FORM}"
        ) from error
    except Exception as error:  # Damaged files make numpy and zipfile raise all sorts of things.
        raise DataError(f"{path} cannot be read ({reason(error, path)}). {FORM}") from error
    for key, array in arrays.items():
        if not isinstance(array, np.ndarray):  # numpy gives the bytes of a member that is none
            raise DataError(f"{path} is damaged: `{key}` is no array. {FORM}")
    return arrays


def _labels(labels: np.ndarray, names: Array | None, path: Path) -> tuple[Int64[Tensor, " n"], tuple[str, ...]]:
    if labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer):
        raise DataError(f"{path}: `labels` are {labels.dtype} of shape {labels.shape}. {FORM}")
    if labels.size and labels.min() < 0:
        raise DataError(f"{path}: `labels` start at {labels.min()}. {FORM} Leave `labels` out if some are unknown.")
    if names is None:
        classes, found = as_classes(labels)
        return torch.from_numpy(classes), found
    if names.ndim != 1 or names.dtype.kind != "U":
        raise DataError(f"{path}: `class_names` are {names.dtype} of shape {names.shape}. {FORM}")
    return torch.from_numpy(labels.astype(np.int64)), tuple(names.tolist())
