"""Bytes that are damaged at random places: every file ends in images, or in one message that names it."""

from __future__ import annotations

import gzip
import struct
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data.image_set import DataError
from data.sources import load

generator = np.random.default_rng(0)
PIXELS = generator.integers(0, 256, (12, 5, 5), dtype=np.uint8)
LABELS = np.arange(12) % 3
TIMES = 60


def write_csv(path: Path) -> None:
    rows = [",".join(map(str, [label, *image.ravel()])) for label, image in zip(LABELS, PIXELS, strict=True)]
    text = "\n".join([",".join(["label", *(f"p{i}" for i in range(25))]), *rows])
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())


def write_idx(path: Path) -> None:
    path.write_bytes(struct.pack(">HBB3I", 0, 8, 3, 12, 5, 5) + PIXELS.tobytes())


KINDS: dict[str, Callable[[Path], object]] = {
    "a.npz": lambda path: np.savez(path, x_train=PIXELS, y_train=LABELS, x_test=PIXELS[:3]),
    "packed.npz": lambda path: np.savez_compressed(path, images=PIXELS, labels=LABELS.astype(str)),
    "a.npy": lambda path: np.save(path, PIXELS),
    "a.csv": write_csv,
    "a.csv.gz": write_csv,
    "train-images-idx3-ubyte": write_idx,
    "lists.parquet": lambda path: pq.write_table(pa.table({"image": PIXELS.tolist(), "label": LABELS}), path),
}


@pytest.mark.parametrize("name", KINDS)
def test_damage_of_any_kind_ends_in_images_or_in_a_message(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    KINDS[name](path)
    whole = path.read_bytes()
    told = 0
    for time in range(TIMES):
        content = bytearray(whole)
        places = generator.integers(0, len(content) if time % 2 else min(300, len(content)), generator.integers(1, 6))
        for place in places:
            content[place] = generator.integers(0, 256)
        if time % 5 == 0:
            del content[generator.integers(0, len(content)) :]
        path.write_bytes(content)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                images = load(str(path), "all")
        except DataError as error:
            told += 1
            assert name in str(error)
            assert len(str(error)) < 1500
        else:
            assert images.images.numel() > 0
    assert told > 0
