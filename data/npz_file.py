"""Images from an .npz file, as `numpy.savez` writes it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Int64, Shaped, UInt8
from torch import Tensor

from data.files import reason
from data.image_set import DataError, ImageSet

Array = Shaped[np.ndarray, "..."]  # of any dtype

CHANNELS = (1, 3)
FORM = (
    "An .npz file holds `images`, (n, h, w), (n, h, w, c) or (n, c, h, w) with c = 1 or 3, "
    "as uint8 or as floats from 0 to 1; if wanted `labels`, (n,), integers from 0; "
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
    images = _channels_first(_as_uint8(arrays["images"], path), path)
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


def _as_uint8(images: np.ndarray, path: Path) -> UInt8[np.ndarray, "*shape"]:
    if images.dtype == np.uint8:
        return images
    if not np.issubdtype(images.dtype, np.floating):
        raise DataError(f"{path}: `images` are {images.dtype}. Save them with .astype(numpy.uint8). {FORM}")
    # Written so that NaN fails the test as well.
    if images.size and not (images.min() >= 0 and images.max() <= 1):
        raise DataError(
            f"{path}: `images` are floats from {images.min():g} to {images.max():g}; floats must lie in 0 to 1. {FORM}"
        )
    scaled: UInt8[np.ndarray, "*shape"] = np.rint(images.astype(np.float32) * 255).astype(np.uint8)
    return scaled


def _channels_first(images: UInt8[np.ndarray, "*shape"], path: Path) -> UInt8[np.ndarray, "n c h w"]:
    if images.ndim == 3:
        return images[:, None]
    if images.ndim == 4:
        first, last = images.shape[1] in CHANNELS, images.shape[3] in CHANNELS
        if first and last:
            raise DataError(
                f"{path}: `images` of shape {images.shape} may be (n, c, h, w) or (n, h, w, c). "
                "Save grey images as (n, h, w), and colour images higher and wider than 3 pixels."
            )
        if first:
            return images
        if last:
            return np.ascontiguousarray(images.transpose(0, 3, 1, 2))
    raise DataError(f"{path}: `images` have the shape {images.shape}. {FORM}")


def _labels(labels: np.ndarray, names: Array | None, path: Path) -> tuple[Int64[Tensor, " n"], tuple[str, ...]]:
    if labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer):
        raise DataError(f"{path}: `labels` are {labels.dtype} of shape {labels.shape}. {FORM}")
    if labels.size and labels.min() < 0:
        raise DataError(f"{path}: `labels` start at {labels.min()}. {FORM} Leave `labels` out if some are unknown.")
    if names is None:
        values, labels = np.unique(labels, return_inverse=True)
        return torch.from_numpy(labels.astype(np.int64)), tuple(str(value) for value in values)
    if names.ndim != 1 or names.dtype.kind != "U":
        raise DataError(f"{path}: `class_names` are {names.dtype} of shape {names.shape}. {FORM}")
    return torch.from_numpy(labels.astype(np.int64)), tuple(names.tolist())
