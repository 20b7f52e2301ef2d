"""NumPy arrays as images: of any usual layout and type in, uint8 (n, c, h, w) out."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Num, Shaped, UInt8
from numpy.typing import ArrayLike
from torch import Tensor

from data.image_set import DataError, ImageSet

Array = Shaped[np.ndarray, "..."]  # of any dtype

CHANNELS = (1, 3)
LAYOUTS = "(n, h, w), (n, h, w, c) or (n, c, h, w) with c = 1 or 3, as uint8 or as floats from 0 to 1"


def as_images(images: Array, what: str, form: str) -> UInt8[np.ndarray, "n c h w"]:
    """The images, (n, c, h, w), 0 to 255.

    Args:
        images: of one of `LAYOUTS`.
        what: how messages call them.
        form: what is allowed, for messages.

    Raises:
        DataError: another layout, another type, or floats outside 0 to 1.
    """
    return _channels_first(_as_uint8(images, what, form), what, form)


def _as_uint8(images: Array, what: str, form: str) -> UInt8[np.ndarray, "*shape"]:
    if images.dtype == np.uint8:
        return images
    if not np.issubdtype(images.dtype, np.floating):
        raise DataError(f"{what} are {images.dtype}. Make them uint8 with .astype(numpy.uint8). {form}")
    # Written so that NaN fails the test as well.
    if images.size and not (images.min() >= 0 and images.max() <= 1):
        raise DataError(
            f"{what} are floats from {images.min():g} to {images.max():g}; floats must lie in 0 to 1. {form}"
        )
    scaled: UInt8[np.ndarray, "*shape"] = np.rint(images.astype(np.float32) * 255).astype(np.uint8)
    return scaled


def _channels_first(images: UInt8[np.ndarray, "*shape"], what: str, form: str) -> UInt8[np.ndarray, "n c h w"]:
    if images.ndim == 3:
        return images[:, None]
    if images.ndim == 4:
        first, last = images.shape[1] in CHANNELS, images.shape[3] in CHANNELS
        if first and last:
            raise DataError(
                f"{what} of shape {images.shape} may be (n, c, h, w) or (n, h, w, c). "
                "Give grey images as (n, h, w), and colour images higher and wider than 3 pixels."
            )
        if first:
            return images
        if last:
            return np.ascontiguousarray(images.transpose(0, 3, 1, 2))
    raise DataError(f"{what} have the shape {images.shape}. {form}")


def as_tensor(images: Num[np.ndarray, "n c h w"]) -> Num[Tensor, "n c h w"]:
    """The images as a tensor that shares their memory, also where it may only be read: nothing here writes to images.

    Copied are only images whose memory is not in the order of their pixels.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The given NumPy array is not writable", UserWarning)
        return torch.from_numpy(np.ascontiguousarray(images))


def labelled(images: ImageSet, labels: ArrayLike) -> ImageSet:
    """The images with labels of any kind, one for each; classes are in the order of their values.

    Raises DataError for another number of labels.
    """
    values, indices = np.unique(np.asarray(labels), return_inverse=True)
    if indices.size != len(images):
        raise DataError(f"{len(images)} images and {indices.size} labels: there must be one for each image.")
    classes = torch.from_numpy(indices.astype(np.int64).reshape(-1))
    return replace(images, labels=classes, class_names=tuple(str(value) for value in values.tolist()))
