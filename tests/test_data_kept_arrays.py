"""Large sets of numbers: decoded once, mapped by the next command, and the same bits as without a cache."""

from __future__ import annotations

import errno
import gzip
import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from data import array_cache, kept_arrays, number_parts, unpacked
from data.image_set import DataError, ImageSet, NoSplitError, fingerprint
from data.names import Names
from data.reading import Reading
from data.sources import load

RANDOM = np.random.default_rng(0)
PIXELS = RANDOM.integers(0, 256, (12, 8, 8), dtype=np.uint8)
LABELS = [3, 5] * 6
TRAIN, TEST = slice(0, 8), slice(8, 12)


def npz(folder: Path) -> Path:
    names = np.array(["a", "b", "c", "d", "e", "f"])
    arrays = {"x_train": PIXELS[TRAIN], "x_test": PIXELS[TEST], "y_train": LABELS[TRAIN], "y_test": LABELS[TEST]}
    np.savez_compressed(folder / "a.npz", **arrays, class_names=names)
    return folder / "a.npz"


def floats(folder: Path) -> Path:
    images = np.asfortranarray(PIXELS / np.float32(255))
    np.savez_compressed(folder / "a.npz", images=images, labels=np.array(["cat", "dog"] * 6))
    return folder / "a.npz"


def npy(folder: Path) -> Path:
    np.save(folder / "a.npy", PIXELS / np.float32(255))
    np.save(folder / "a_labels.npy", LABELS)
    return folder / "a.npy"


def csv(folder: Path, ending: str = ".csv", scale: float = 1) -> Path:
    for name, part in (("train", TRAIN), ("test", TEST)):
        rows = PIXELS[part].reshape(-1, 64) / scale if scale != 1 else PIXELS[part].reshape(-1, 64)
        lines = [",".join(["label", *(f"p{i}" for i in range(64))])]
        lines += [",".join(map(str, [label, *row])) for label, row in zip(LABELS[part], rows.tolist(), strict=True)]
        content = ("\n".join(lines) + "\n").encode()
        (folder / f"{name}{ending}").write_bytes(gzip.compress(content) if ending.endswith("gz") else content)
    return folder / f"train{ending}"


def idx(folder: Path) -> Path:
    for name, part in (("train", TRAIN), ("t10k", TEST)):
        pixels, labels = PIXELS[part], np.array(LABELS[part], dtype=np.uint8)
        for kind, array in (("images-idx3", pixels), ("labels-idx1", labels)):
            head = bytes([0, 0, 8, array.ndim]) + b"".join(side.to_bytes(4, "big") for side in array.shape)
            (folder / f"{name}-{kind}-ubyte.gz").write_bytes(gzip.compress(head + array.tobytes()))
    return folder


def parquet(folder: Path) -> Path:
    for name, part in (("train", TRAIN), ("test", TEST)):
        table = pa.table({"image": PIXELS[part].tolist(), "label": LABELS[part]})
        pq.write_table(table, folder / f"{name}.parquet", row_group_size=3)
    return folder


MAKERS: dict[str, Callable[[Path], Path]] = {
    "npz": npz,
    "npz of floats": floats,
    "npy of floats": npy,
    "csv": csv,
    "csv of fractions": lambda folder: csv(folder, scale=255),
    "csv.gz": lambda folder: csv(folder, ".csv.gz"),
    "idx": idx,
    "parquet": parquet,
}


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache of its own, and blocks of few images."""
    monkeypatch.setenv("DEEP_CLUSTERING_CACHE", str(tmp_path_factory.mktemp("cache")))
    monkeypatch.setattr("data.split_pixels.BLOCK_BYTES", 200)
    monkeypatch.setattr(unpacked, "AT_ONCE", 100)
    monkeypatch.setattr("data.parquet_rows.ROWS_AT_ONCE", 3)
    return array_cache.folder()


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is measured, which is all that is decoded."""
    found: list[str] = []
    true = number_parts.measured

    def count(numbers: np.ndarray, what: str) -> object:
        found.append(what)
        return true(numbers, what)

    monkeypatch.setattr(number_parts, "measured", count)
    return found


def large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(array_cache, "LARGE", 64)


def splits_in(path: Path, reading: Reading | None = None) -> list[ImageSet]:
    found = []
    for split in ("train", "test", "all"):
        try:
            found.append(load(str(path), split, reading=reading))
        except NoSplitError:
            continue
    return found


def same(got: ImageSet, wanted: ImageSet) -> None:
    assert torch.equal(got.images, wanted.images)
    assert got.labels is not None
    assert wanted.labels is not None
    assert torch.equal(got.labels, wanted.labels)
    assert (got.class_names, got.names, got.was_read) == (wanted.class_names, wanted.names, wanted.was_read)
    assert got.fingerprint == wanted.fingerprint == fingerprint(wanted.images)


@pytest.mark.parametrize("kind", MAKERS)
def test_what_is_kept_is_what_is_read_in_memory(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, decoded: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    path = MAKERS[kind](tmp_path)
    expected = splits_in(path)
    assert torch.equal(expected[-1].images[:, 0], torch.from_numpy(PIXELS))
    assert array_cache.entries() == []  # few images are not kept
    large(monkeypatch)
    decoded.clear()
    for _ in range(2):
        for got, wanted in zip(splits_in(path), expected, strict=True):
            same(got, wanted)
    assert len(decoded) == (2 if len(expected) == 3 else 1)  # once for every split, at the first reading
    assert capfd.readouterr().err.count("kept the images of") == 1
    ((_, size, place, _),) = array_cache.entries()
    assert (size, place) == (PIXELS.nbytes, str(path))


@pytest.mark.parametrize("kind", MAKERS)
def test_without_a_cache_they_are_mapped_and_nothing_is_left(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small: Path, decoded: list[str]
) -> None:
    path = MAKERS[kind](tmp_path)
    expected = splits_in(path)
    large(monkeypatch)
    decoded.clear()
    for _ in range(2):
        same(splits_in(path, Reading(cache=False))[0], expected[0])
    assert len(decoded) > 2
    assert list(small.glob("*")) == []


@pytest.mark.parametrize("change", ["the file", "its other split", "its size", "its labels"])
def test_what_changed_is_decoded_anew(
    change: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, decoded: list[str]
) -> None:
    large(monkeypatch)
    path = csv(tmp_path)
    load(str(path))
    reading = Reading()
    if change == "its size":
        reading = Reading(size=(4, 4))
    elif change == "its labels":
        reading = Reading(labels="none")
    else:
        os.utime(path if change == "the file" else path.with_name("test.csv"), ns=(1, 1))
    images = load(str(path), reading=reading)
    assert len(decoded) == 4
    assert images.images.shape == ((8, 1, 4, 4) if change == "its size" else (8, 1, 8, 8))
    assert (images.labels is None) == (change == "its labels")
    # Of one way of reading only the newest is kept.
    assert len(array_cache.entries()) == (2 if reading != Reading() else 1)


@pytest.mark.parametrize("damage", ["pixels are missing", "no JSON", "another form", "names are missing", "cleared"])
def test_a_damaged_entry_is_made_anew(
    damage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small: Path, decoded: list[str]
) -> None:
    path = npz(tmp_path)
    expected = splits_in(path)
    large(monkeypatch)
    load(str(path))
    decoded.clear()
    (pixels,), (about,) = small.glob("*.u8"), small.glob("*.json")
    if damage == "pixels are missing":
        pixels.write_bytes(pixels.read_bytes()[:-1])
    elif damage == "no JSON":
        about.write_text("{")
    elif damage == "cleared":
        array_cache.clear()
    else:
        content = json.loads(about.read_text())
        if damage == "another form":
            content["about"] = {"splits": 3}
        else:
            content["about"]["splits"].pop()
        about.write_text(json.dumps(content))
    for got, wanted in zip(splits_in(path), expected, strict=True):
        same(got, wanted)
    assert len(decoded) == 2
    assert len(array_cache.entries()) == 1


@pytest.mark.parametrize("kind", ["npz", "csv", "idx", "parquet"])
def test_a_full_disk_is_told_and_the_images_are_held_in_memory(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = MAKERS[kind](tmp_path)
    expected = splits_in(path)
    large(monkeypatch)

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(array_cache, "check_room", full)
    for got, wanted in zip(splits_in(path), expected, strict=True):
        same(got, wanted)
    assert f"the disk of {small} is full: the images are held in memory." in capfd.readouterr().err
    assert list(small.glob("*")) == []


def test_what_is_mapped_from_the_users_file_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    large(monkeypatch)
    np.save(tmp_path / "a.npy", PIXELS)
    (tmp_path / "a-idx3-ubyte").write_bytes(bytes([0, 0, 8, 3, 0, 0, 0, 12, 0, 0, 0, 8, 0, 0, 0, 8]) + PIXELS.tobytes())
    for name in ("a.npy", "a-idx3-ubyte"):
        assert torch.equal(load(str(tmp_path / name)).images[:, 0], torch.from_numpy(PIXELS))
    assert array_cache.entries() == []
    assert load(str(tmp_path / "a.npy"), reading=Reading(size=(4, 4))).images.shape == (12, 1, 4, 4)
    assert len(array_cache.entries()) == 1


def test_splits_of_several_sizes_are_read_one_by_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    large(monkeypatch)
    np.savez_compressed(tmp_path / "a.npz", x_train=PIXELS, x_test=PIXELS[:, :4, :4])
    assert load(str(tmp_path / "a.npz"), "test").images.shape == (12, 1, 4, 4)
    assert array_cache.entries() == []
    with pytest.raises(DataError, match="Images of one set share one shape"):
        load(str(tmp_path / "a.npz"), "all")


def test_errors_are_those_of_small_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def damaged() -> list[str]:
        told = []
        (tmp_path / "in").mkdir(exist_ok=True)
        for path in (npz(tmp_path), csv(tmp_path, ".csv.gz"), idx(tmp_path / "in") / "train-images-idx3-ubyte.gz"):
            path.write_bytes(path.read_bytes()[:-200] if path.suffix == ".npz" else path.read_bytes()[:-60])
            with pytest.raises(DataError) as error:
                load(str(path))
            told.append(str(error.value))
        np.savez(tmp_path / "c.npz", x_train=PIXELS)
        content = bytearray((tmp_path / "c.npz").read_bytes())
        content[content.find(PIXELS.tobytes()) + 400] ^= 1  # its checksum tells
        (tmp_path / "c.npz").write_bytes(content)
        with pytest.raises(DataError) as error:
            load(str(tmp_path / "c.npz"))
        told.append(str(error.value))
        np.savez_compressed(tmp_path / "b.npz", x_train=PIXELS, y_train=[1])
        for split in ("train", "test"):
            with pytest.raises(DataError) as error:
                load(str(tmp_path / "b.npz"), split)
            told.append(str(error.value))
        return told

    expected = damaged()
    large(monkeypatch)
    assert damaged() == expected
    assert array_cache.entries() == []


def test_transparent_images_are_the_same_in_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images = RANDOM.integers(0, 256, (12, 8, 8, 4), dtype=np.uint8)
    images[:6, :, :, 3] = 255
    np.savez_compressed(tmp_path / "a.npz", images=images, labels=LABELS)
    expected = load(str(tmp_path / "a.npz"), reading=Reading(channels=1, background="#102030"))
    large(monkeypatch)
    for _ in range(2):
        same(load(str(tmp_path / "a.npz"), reading=Reading(channels=1, background="#102030")), expected)
    assert len(array_cache.entries()) == 1


def test_blocks_of_several_types_become_one_type(monkeypatch: pytest.MonkeyPatch) -> None:
    large(monkeypatch)
    blocks = [np.arange(64, dtype=np.uint8)[None], np.full((2, 64), 0.5)]
    assert np.array_equal(unpacked.stacked(lambda: iter(blocks)), np.concatenate(blocks))


@pytest.mark.parametrize("names", [Names.rows("a", 3) + Names.rows("b", 2, 7), Names.of(["x", "y"])])
def test_names_come_back_from_json(names: Names) -> None:
    assert Names.from_plain(json.loads(json.dumps(names.plain()))) == names
    chosen = names.subset([1, 0])
    assert Names.from_plain(json.loads(json.dumps(chosen.plain()))) == chosen


def test_nothing_is_kept_under_no_key() -> None:
    assert kept_arrays.key_of([], Reading(cache=False)) is None
    assert kept_arrays.find(None) is None
