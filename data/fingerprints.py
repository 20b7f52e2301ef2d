"""By what an image is known again: its bytes, and not numbers computed from it, which rounding changes."""

from __future__ import annotations

from hashlib import blake2b

import numpy as np
import torch
from jaxtyping import Bool, Int64, Num, UInt8
from torch import Tensor

BLOCK = 4096
"""Images at once."""
SIZE = 16
"""Bytes: among 10^9 images two different ones share a fingerprint with a chance of 10^-21."""


def fingerprints(images: Num[Tensor, "n c h w"]) -> UInt8[Tensor, "n size"]:
    """BLAKE2b (RFC 7693) of every image's pixels, `SIZE` bytes each. Images of one set have one shape."""
    found = np.empty((len(images), SIZE), dtype=np.uint8)
    # Block by block: they may be mapped from a file that is larger than the memory.
    for start in range(0, len(images), BLOCK):
        block = images[start : start + BLOCK].cpu().numpy()
        rows = np.ascontiguousarray(block.reshape(len(block), -1))
        digests = b"".join(blake2b(row, digest_size=SIZE).digest() for row in rows)
        found[start : start + BLOCK] = np.frombuffer(digests, dtype=np.uint8).reshape(-1, SIZE)
    return torch.from_numpy(found)


def short_fingerprints(images: Num[Tensor, "n c h w"]) -> Int64[Tensor, " n"]:
    """The first 8 bytes of every image's fingerprint, ascending: what a checkpoint keeps of the images of a fit."""
    return _short(images).sort().values


def among(images: Num[Tensor, "n c h w"], known: Int64[Tensor, " m"]) -> Bool[Tensor, " n"]:
    """Which of the images are among those whose `short_fingerprints` are `known`."""
    return torch.isin(_short(images), known)


def count_among(images: Num[Tensor, "n c h w"], known: Int64[Tensor, " m"]) -> int:
    """How many of the images are among those whose `short_fingerprints` are `known`."""
    return int(torch.isin(short_fingerprints(images), known).sum())


def _short(images: Num[Tensor, "n c h w"]) -> Int64[Tensor, " n"]:
    """The first 8 bytes of every image's fingerprint, in their order."""
    return fingerprints(images)[:, :8].contiguous().view(torch.int64).flatten()
