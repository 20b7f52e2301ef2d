"""Decoded pictures that are kept: found again, made anew where anything changed, and safe for several processes."""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from data import array_cache, kept_images, pictures
from data.array_cache import Entry
from data.image_set import DataError, ImageSet, concatenate, fingerprint
from data.names import Names
from data.reading import Reading
from data.sources import load
from data.subsets import drop_duplicates, hold_out
from engine.training_images import TrainingImages


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache of its own; few pictures are kept, and few images are many."""
    monkeypatch.setenv("DEEP_CLUSTERING_CACHE", str(tmp_path_factory.mktemp("cache")))
    monkeypatch.setattr(pictures, "KEPT_FROM", 4)
    return array_cache.folder()


def put(path: Path, value: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((8, 8), value, dtype=np.uint8)).save(path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for i in range(10):
        put(tmp_path / "in" / ("train" if i < 7 else "test") / f"{i}.png", i)
    return tmp_path / "in"


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A number for every picture that is decoded."""
    found: list[int] = []
    true = pictures.decode.decode

    def count(*arguments: object) -> object:
        found.append(1)
        return true(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(pictures.decode, "decode", count)
    return found


def shown(images: ImageSet) -> list[int]:
    return images.images[:, 0, 0, 0].tolist()


def test_pictures_are_decoded_once_for_all_splits(
    folder: Path, decoded: list[int], capfd: pytest.CaptureFixture[str]
) -> None:
    (folder / "train" / "x.png").write_bytes(b"")
    first = load(str(folder))
    assert len(decoded) == 10
    assert f"kept the images of {folder} for the next command: 0 MB in {array_cache.folder()}" in capfd.readouterr().err
    again, test = load(str(folder)), load(str(folder), "test")
    assert len(decoded) == 10
    assert (shown(first), shown(again), shown(test)) == (list(range(7)), list(range(7)), [7, 8, 9])
    assert first.was_read == again.was_read == test.was_read
    assert first.names == again.names
    assert list(test.names or ()) == ["test/7.png", "test/8.png", "test/9.png"]
    assert (
        first.fingerprint
        == again.fingerprint
        == fingerprint(torch.arange(7, dtype=torch.uint8).view(7, 1, 1, 1).expand(7, 1, 8, 8))
    )
    assert capfd.readouterr().err == ""


def test_the_fingerprint_is_kept_beside_them(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known = load(str(folder)).fingerprint
    monkeypatch.setattr("data.image_set.hashlib", None)
    assert load(str(folder)).fingerprint == known


@pytest.mark.parametrize("change", ["added", "changed", "gone", "renamed", "asked for otherwise"])
def test_what_changed_is_read_anew(folder: Path, change: str) -> None:
    assert len(load(str(folder))) == 7
    expected, reading = list(range(7)), Reading()
    if change == "added":
        put(folder / "train" / "99.png", 99)
        expected.append(99)
    elif change == "changed":
        put(folder / "train" / "3.png", 33)
        os.utime(folder / "train" / "3.png", ns=(1, 1))
        expected[3] = 33
    elif change == "gone":
        (folder / "train" / "0.png").unlink()
        del expected[0]
    elif change == "renamed":
        (folder / "train" / "0.png").rename(folder / "train" / "a.png")
        expected = [*expected[1:], 0]
    else:
        reading = Reading(size=(4, 4))
    images = load(str(folder), reading=reading)
    assert shown(images) == expected
    assert images.images.shape[2:] == ((4, 4) if reading.size else (8, 8))
    # Of one way of reading only the newest is kept.
    assert len(array_cache.entries()) == (2 if reading.size else 1)


def test_nothing_is_kept_where_that_is_asked(folder: Path, small: Path) -> None:
    assert shown(load(str(folder), reading=Reading(cache=False))) == list(range(7))
    assert list(small.glob("*")) == []


def test_a_torn_entry_is_made_anew(folder: Path, small: Path, decoded: list[int]) -> None:
    load(str(folder))
    (file,) = small.glob("*.u8")
    file.write_bytes(file.read_bytes()[:-1])
    assert shown(load(str(folder))) == list(range(7))
    (about,) = small.glob("*.json")
    about.write_text("{")
    assert shown(load(str(folder))) == list(range(7))
    assert len(decoded) == 30


def test_a_full_disk_is_told_and_the_images_are_held_in_memory(
    folder: Path, small: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (folder / "train" / "x.png").write_bytes(b"")

    def full(*_: object) -> list[int]:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(array_cache, "_written", full)
    images = load(str(folder))
    assert shown(images) == list(range(7))
    assert images.was_read is not None
    assert [name for name, _ in images.was_read.left_out] == ["train/x.png"]
    monkeypatch.setattr(array_cache, "_written", None)
    monkeypatch.setattr(array_cache.shutil, "disk_usage", lambda _: SimpleNamespace(free=639))  # 640 are needed
    assert shown(load(str(folder))) == list(range(7))
    assert f"the disk of {small} is full: the images are held in memory." in capfd.readouterr().err
    assert [file.suffix for file in small.glob("*")] == [".lock"]
    monkeypatch.setattr(pictures.os, "sysconf", lambda _: 1)
    with pytest.raises(DataError, match="more than the memory has. With the cache the images stay on the disk"):
        load(str(folder))


def test_of_two_that_read_the_same_one_waits(
    folder: Path, decoded: list[int], capfd: pytest.CaptureFixture[str]
) -> None:
    results: list[list[int]] = []
    threads = [threading.Thread(target=lambda: results.append(shown(load(str(folder))))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [list(range(7))] * 2
    assert capfd.readouterr().err.count("kept the images") == 1
    assert len(decoded) == 10


def test_the_command_lists_and_clears(folder: Path, small: Path) -> None:
    images = load(str(folder))
    listed = CliRunner().invoke(kept_images.app, [])
    assert str(folder) in listed.stdout
    assert "1 sets of images" in listed.stderr
    cleared = CliRunner().invoke(kept_images.app, ["--clear"])
    assert "removed 1 sets of images" in cleared.stderr
    assert list(small.glob("*")) == []
    assert shown(images) == list(range(7))  # what is in use stays
    assert CliRunner().invoke(kept_images.app, []).stdout == ""


def toy(n: int = 50) -> ImageSet:
    pixels = torch.randint(0, 256, (n, 1, 4, 4), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    pixels[7] = pixels[3]
    return ImageSet("toy", "train", pixels, torch.arange(n) % 2, ("a", "b"), names=Names.rows("toy", n))


def test_parts_of_many_images_lie_in_files_and_are_the_same(monkeypatch: pytest.MonkeyPatch, small: Path) -> None:
    def parts() -> list[ImageSet]:
        return [*hold_out(toy(), 0.3, 0), drop_duplicates(toy()), concatenate(toy(), toy())]

    expected = parts()
    spilled: list[tuple[int, ...]] = []
    true = array_cache.spilled

    def spill(blocks: array_cache.Blocks) -> torch.Tensor:
        made = true(blocks)
        spilled.append(tuple(made.shape))
        return made

    monkeypatch.setattr(array_cache, "spilled", spill)
    monkeypatch.setattr(array_cache, "LARGE", 200)
    for got, wanted in zip(parts(), expected, strict=True):
        assert torch.equal(got.images, wanted.images)
        assert got.names == wanted.names
        assert got.fingerprint == wanted.fingerprint
    assert [shape[0] for shape in spilled] == [35, 15, 49, 100]
    assert list(small.glob("*")) == []


def test_mapped_images_are_gathered_ahead_into_the_same_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    images, order = toy().images, torch.randperm(50)
    batches = []
    for large in (10**9, 0):
        monkeypatch.setattr("engine.training_images.LARGE", large)
        kept = TrainingImages(images, torch.device("cpu"))
        assert (kept.resident is None) == (large == 0)
        kept.begin(order, 8, slice(0, 8))
        batches.append([kept.rows(number) for number in range(50 // 8)])
    for ahead, plain in zip(*batches, strict=True):
        assert torch.equal(ahead, plain)


def test_an_entry_says_where_it_is(folder: Path) -> None:
    load(str(folder))
    ((file, size, place, _),) = array_cache.entries()
    assert (size, place) == (10 * 64, str(folder))
    assert isinstance(array_cache.find(file.stem), Entry)
    assert array_cache.find("nothing") is None
