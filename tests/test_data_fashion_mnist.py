import gzip
import hashlib
import logging
import struct
from pathlib import Path

import numpy as np
import pytest

from data import cache, debian, fashion_mnist, network
from data.image_set import DataError, ImageSet
from data.places import Unavailable

NAMES = tuple(fashion_mnist.SHA256)


def idx_bytes(array: np.ndarray) -> bytes:
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


def published() -> dict[str, bytes]:
    """Four small files that stand for the published ones: 5 train and 3 test images of 28×28."""
    generator = np.random.default_rng(0)
    content = {}
    for images, labels, n in ((NAMES[0], NAMES[1], 5), (NAMES[2], NAMES[3], 3)):
        content[images] = idx_bytes(generator.integers(0, 256, (n, 28, 28), dtype=np.uint8))
        content[labels] = idx_bytes(np.arange(n, dtype=np.uint8))
    return content


CONTENT = published()


def put(folder: Path, packed: bool = True) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in CONTENT.items():
        if packed:
            (folder / f"{name}.gz").write_bytes(gzip.compress(content))
        else:
            (folder / name).write_bytes(content)
    return folder


@pytest.fixture(autouse=True)
def _isolated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No network, no apt, nothing outside `tmp_path`, and the small files' hashes."""

    def no_apt(package: str, folder: Path) -> None:
        raise Unavailable("apt-get is not on PATH")

    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in CONTENT.items()}
    monkeypatch.setattr(fashion_mnist, "SHA256", hashes)
    monkeypatch.setattr(fashion_mnist, "DEBIAN_FOLDER", tmp_path / "debian")
    monkeypatch.setattr(network, "unreachable", lambda urls: "cannot reach the mirrors")
    monkeypatch.setattr(debian, "unpack", no_apt)
    monkeypatch.setenv("DEEP_CLUSTERING_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("DEEP_CLUSTERING_DATA", raising=False)


def kept() -> Path:
    return cache.folder("fashion-mnist")


def is_train(images: ImageSet) -> bool:
    expected = np.frombuffer(CONTENT[NAMES[0]][16:], dtype=np.uint8).reshape(5, 1, 28, 28)
    assert images.labels is not None
    return bool((images.images.numpy() == expected).all()) and images.labels.tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("packed", [True, False])
def test_gzipped_and_plain_files_are_read(tmp_path: Path, packed: bool) -> None:
    put(tmp_path / "mine", packed)
    train = fashion_mnist.load("train", tmp_path / "mine")
    assert is_train(train)
    assert train.origin == str(tmp_path / "mine")
    assert train.class_names[0] == "T-shirt/top"
    test = fashion_mnist.load("test", tmp_path / "mine")
    assert test.images.shape == (3, 1, 28, 28)
    assert test.split == "test"


def test_places_are_tried_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine, environment = tmp_path / "mine", tmp_path / "environment"
    monkeypatch.setenv("DEEP_CLUSTERING_DATA", str(environment))
    order = [
        mine,
        mine / "fashion-mnist",
        mine / "FashionMNIST" / "raw",
        environment,
        environment / "fashion-mnist",
        environment / "FashionMNIST" / "raw",
        tmp_path / "debian",
        kept(),
    ]
    for folder in reversed(order):  # Each new place goes before all that are there already.
        put(folder)
        assert fashion_mnist.load("train", mine).origin == str(folder)


def test_downloads_come_last_and_torchvision_before_apt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []

    def note(call: str) -> Path:
        calls.append(call)
        if call == "apt":
            return put(kept())
        raise Unavailable("no network")

    monkeypatch.setattr(fashion_mnist, "_download", lambda: note("torchvision"))
    monkeypatch.setattr(fashion_mnist, "_fetch_package", lambda: note("apt"))
    assert is_train(fashion_mnist.load("train"))
    assert calls == ["torchvision", "apt"]
    assert is_train(fashion_mnist.load("train"))
    assert calls == ["torchvision", "apt"]  # The second time the cache has it.


def test_when_nothing_answers_one_message_names_every_place_and_the_remedies(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    with pytest.raises(DataError) as caught:
        fashion_mnist.load("train", tmp_path / "mine")
    message = str(caught.value)
    for line in (
        f"--data-root {tmp_path}/mine: no train-images-idx3-ubyte(.gz) there",
        f"--data-root {tmp_path}/mine/fashion-mnist: no such folder",
        f"--data-root {tmp_path}/mine/FashionMNIST/raw: no such folder",
        "$DEEP_CLUSTERING_DATA: not set",
        f"Debian's package in {tmp_path}/debian: no such folder",
        f"cache {kept()}: no such folder",
        "torchvision's download: cannot reach the mirrors",
        "Debian's package dataset-fashion-mnist by apt: apt-get is not on PATH",
        "apt-get install dataset-fashion-mnist",
        "DEEP_CLUSTERING_DATA=FOLDER",
        *NAMES,
    ):
        assert line in message


def test_a_wrong_file_is_named_with_both_hashes(tmp_path: Path) -> None:
    put(tmp_path / "mine")
    wrong = CONTENT[NAMES[0]][:-1] + b"?"
    (tmp_path / "mine" / f"{NAMES[0]}.gz").write_bytes(gzip.compress(wrong))
    with pytest.raises(DataError) as caught:
        fashion_mnist.load("train", tmp_path / "mine")
    message = str(caught.value)
    assert f"{tmp_path}/mine/{NAMES[0]}.gz is not the published file" in message
    assert fashion_mnist.SHA256[NAMES[0]] in message
    assert hashlib.sha256(wrong).hexdigest() in message


def test_after_a_wrong_file_the_search_goes_on_and_a_warning_tells(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    put(tmp_path / "mine")
    (tmp_path / "mine" / f"{NAMES[1]}.gz").write_bytes(b"\x1f\x8b cut")
    put(tmp_path / "debian")
    with caplog.at_level(logging.WARNING):
        images = fashion_mnist.load("train", tmp_path / "mine")
    assert images.origin == str(tmp_path / "debian")
    assert f"{NAMES[1]}.gz is truncated or damaged" in caplog.text


def test_a_damaged_gzip_does_not_hide_the_good_plain_file_beside_it(tmp_path: Path) -> None:
    put(tmp_path / "mine", packed=False)
    (tmp_path / "mine" / f"{NAMES[0]}.gz").write_bytes(b"\x1f\x8b cut")
    assert is_train(fashion_mnist.load("train", tmp_path / "mine"))


def test_an_absent_place_causes_no_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    put(tmp_path / "debian")
    fashion_mnist.load("train", tmp_path / "none")
    assert caplog.text == ""


def test_an_unreadable_file_is_named(tmp_path: Path) -> None:
    # A folder in a file's place: unlike a file without permissions, root cannot read it either.
    (tmp_path / "mine" / f"{NAMES[0]}.gz").mkdir(parents=True)
    with pytest.raises(DataError, match=r"images-idx3-ubyte\.gz cannot be read .Is a directory"):
        fashion_mnist.load("train", tmp_path / "mine")


def test_the_package_fills_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unpack(package: str, folder: Path) -> None:
        assert package == "dataset-fashion-mnist"
        put(folder / (tmp_path / "debian").relative_to("/"))

    monkeypatch.setattr(debian, "unpack", unpack)
    assert fashion_mnist.load("train").origin == str(kept())
    assert sorted(path.name for path in kept().iterdir()) == sorted(f"{name}.gz" for name in NAMES)
    assert [path.name for path in kept().parent.iterdir()] == ["fashion-mnist"]  # nothing temporary is left


def test_torchvisions_download_fills_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torchvision

    class Fake:
        mirrors = ("http://mirror.test/",)

        def __init__(self, root: Path, download: bool) -> None:
            assert download
            print("torchvision talks on stdout")
            put(Path(root) / "FashionMNIST" / "raw", packed=False)

    monkeypatch.setattr(torchvision.datasets, "FashionMNIST", Fake)
    monkeypatch.setattr(network, "unreachable", lambda urls: None)
    assert is_train(fashion_mnist.load("train"))
    assert sorted(path.name for path in kept().iterdir()) == sorted(NAMES)


@pytest.mark.parametrize("fault", ["broken off", "incomplete", "wrong"])
def test_a_download_that_does_not_end_well_leaves_nothing_in_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    import torchvision

    class Fake:
        mirrors = ("http://mirror.test/",)

        def __init__(self, root: Path, download: bool) -> None:
            raw = put(Path(root) / "FashionMNIST" / "raw", packed=False)
            if fault == "broken off":
                raise ConnectionResetError("connection reset")
            if fault == "incomplete":
                (raw / NAMES[3]).unlink()
            else:
                (raw / NAMES[3]).write_bytes(CONTENT[NAMES[3]] + b"?")

    monkeypatch.setattr(torchvision.datasets, "FashionMNIST", Fake)
    monkeypatch.setattr(network, "unreachable", lambda urls: None)
    reasons = {"broken off": "connection reset", "incomplete": f"no {NAMES[3]}", "wrong": "not the published file"}
    with pytest.raises(DataError, match=f"torchvision's download: .*{reasons[fault]}"):
        fashion_mnist.load("train")
    assert list(kept().parent.iterdir()) == []


def test_a_cache_that_cannot_be_written_is_a_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("DEEP_CLUSTERING_CACHE", str(tmp_path / "file"))
    with pytest.raises(DataError, match="cannot be written .*DEEP_CLUSTERING_CACHE moves it"):
        fashion_mnist.load("train")
