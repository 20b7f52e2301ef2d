"""Files in the sets' real formats, a few images each; torchvision's checksum tables are set to theirs."""

import bz2
import hashlib
import pickle
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torchvision

from data import cache, network, torchvision_sets
from data.image_set import DataError, ImageSet

generator = np.random.default_rng(0)


def md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def idx_bytes(array: np.ndarray) -> bytes:
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


@pytest.fixture(autouse=True)
def _isolated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "unreachable", lambda urls: f"cannot reach {urls[0]}")
    monkeypatch.setenv("DEEP_CLUSTERING_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("DEEP_CLUSTERING_DATA", raising=False)


def labels_of(images: ImageSet) -> list[int]:
    assert images.labels is not None
    return images.labels.tolist()


def put_mnist(root: Path, name: str) -> dict[str, np.ndarray]:
    raw = root / name / "raw"
    raw.mkdir(parents=True)
    images = {}
    for split, prefix, n in (("train", "train", 4), ("test", "t10k", 2)):
        images[split] = generator.integers(0, 256, (n, 28, 28), dtype=np.uint8)
        (raw / f"{prefix}-images-idx3-ubyte").write_bytes(idx_bytes(images[split]))
        (raw / f"{prefix}-labels-idx1-ubyte").write_bytes(idx_bytes(np.arange(9, 9 - n, -1, dtype=np.uint8)))
    return images


@pytest.mark.parametrize(("name", "folder"), [("mnist", "MNIST"), ("kmnist", "KMNIST")])
def test_mnist_and_kmnist(tmp_path: Path, name: str, folder: str) -> None:
    images = put_mnist(tmp_path, folder)
    train = torchvision_sets.load(name, "train", tmp_path)
    assert (train.images.numpy() == images["train"][:, None]).all()
    assert labels_of(train) == [9, 8, 7, 6]
    test = torchvision_sets.load(name, "test", tmp_path)
    assert (test.images.numpy() == images["test"][:, None]).all()
    assert len(test.class_names) == 10


def put_usps(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """libsvm's text, packed with bzip2: label 1 to 10, then pixel:value with values from -1 to 1."""
    table = {}
    for split, name, labels in (("train", "usps.bz2", (1, 10, 7)), ("test", "usps.t.bz2", (2,))):
        lines = []
        for row, label in enumerate(labels):
            values = [-1.0] * 256
            values[row], values[255] = 1.0, 0.0
            lines.append(f"{label} " + " ".join(f"{i + 1}:{value:.6f}" for i, value in enumerate(values)))
        content = bz2.compress("".join(f"{line} \n" for line in lines).encode())
        root.mkdir(exist_ok=True)
        (root / name).write_bytes(content)
        table[split] = [f"https://mirror.test/{name}", name, md5(content)]
    monkeypatch.setattr(torchvision.datasets.USPS, "split_list", table)


def test_usps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put_usps(tmp_path, monkeypatch)
    train = torchvision_sets.load("usps", "train", tmp_path)
    assert train.images.shape == (3, 1, 16, 16)
    assert labels_of(train) == [0, 9, 6]
    for row in range(3):
        expected = np.zeros(256, dtype=np.uint8)
        expected[row], expected[255] = 255, 127
        assert train.images[row].flatten().tolist() == expected.tolist()
    assert labels_of(torchvision_sets.load("usps", "test", tmp_path)) == [1]


def test_usps_is_verified_before_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put_usps(tmp_path, monkeypatch)
    (tmp_path / "usps.bz2").write_bytes(bz2.compress(b"1 1:0.5\n"))
    with pytest.raises(DataError, match=r"usps\.bz2 is not the published file: its MD5"):
        torchvision_sets.load("usps", "train", tmp_path)


def put_cifar(root: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, np.ndarray]:
    """Pickled dictionaries: data (n, 3072), all red values first, row by row, then green, then blue."""
    base = root / "cifar-10-batches-py"
    base.mkdir(parents=True)
    sums = {}

    def put(name: str, content: dict[str, Any]) -> None:
        packed = pickle.dumps(content, protocol=2)
        (base / name).write_bytes(packed)
        sums[name] = md5(packed)

    batches = [f"data_batch_{i}" for i in range(1, 6)]
    rows = {name: generator.integers(0, 256, (2, 3072), dtype=np.uint8) for name in (*batches, "test_batch")}
    for i, (name, data) in enumerate(rows.items()):
        put(name, {"batch_label": name, "labels": [i, i + 1], "data": data, "filenames": ["a.png", "b.png"]})
    put("batches.meta", {"label_names": ["airplane"] * 10, "num_cases_per_batch": 2, "num_vis": 3072})
    cifar = torchvision.datasets.CIFAR10
    monkeypatch.setattr(cifar, "train_list", [[name, sums[name]] for name in batches])
    monkeypatch.setattr(cifar, "test_list", [["test_batch", sums["test_batch"]]])
    monkeypatch.setattr(cifar, "meta", {**cifar.meta, "md5": sums["batches.meta"]})
    return {"train": np.concatenate([rows[name] for name in batches]), "test": rows["test_batch"]}


def test_cifar10(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = put_cifar(tmp_path, monkeypatch)
    train = torchvision_sets.load("cifar10", "train", tmp_path)
    assert train.images.shape == (10, 3, 32, 32)
    assert (train.images.flatten(1).numpy() == rows["train"]).all()
    assert train.images[7, 2, 5, 3] == rows["train"][7, 2 * 1024 + 5 * 32 + 3]
    assert labels_of(train) == [0, 1, 1, 2, 2, 3, 3, 4, 4, 5]
    assert train.class_names[:3] == ("airplane", "automobile", "bird")
    test = torchvision_sets.load("cifar10", "test", tmp_path)
    assert (test.images.flatten(1).numpy() == rows["test"]).all()
    assert labels_of(test) == [5, 6]


def test_a_cifar10_file_that_is_not_the_published_one_is_never_unpickled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_cifar(tmp_path, monkeypatch)

    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (tmp_path / "sprung",)

    (tmp_path / "cifar-10-batches-py" / "data_batch_2").write_bytes(pickle.dumps(Trap()))
    with pytest.raises(DataError, match="corrupted"):
        torchvision_sets.load("cifar10", "train", tmp_path)
    assert not (tmp_path / "sprung").exists()


def put_stl(root: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, np.ndarray]:
    """Bare bytes: every image as three planes, each column by column; labels from 1."""
    base = root / "stl10_binary"
    base.mkdir(parents=True)
    images = {
        "train": generator.integers(0, 256, (3, 3, 96, 96), dtype=np.uint8),
        "test": generator.integers(0, 256, (2, 3, 96, 96), dtype=np.uint8),
    }
    content = {
        "train_X.bin": images["train"].tobytes(),
        "train_y.bin": bytes([1, 10, 4]),
        "unlabeled_X.bin": b"",
        "test_X.bin": images["test"].tobytes(),
        "test_y.bin": bytes([2, 3]),
    }
    for name, data in content.items():
        (base / name).write_bytes(data)
    (base / "class_names.txt").write_text("airplane\nbird\n")
    stl = torchvision.datasets.STL10
    for table in ("train_list", "test_list"):
        monkeypatch.setattr(stl, table, [[name, md5(content[name])] for name, _ in getattr(stl, table)])
    return images


def test_stl10(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stored = put_stl(tmp_path, monkeypatch)
    train = torchvision_sets.load("stl10", "train", tmp_path)
    # The file holds columns where the tensor holds rows.
    assert (train.images.numpy() == stored["train"].swapaxes(2, 3)).all()
    assert labels_of(train) == [0, 9, 3]
    assert train.class_names[9] == "truck"
    test = torchvision_sets.load("stl10", "test", tmp_path)
    assert (test.images.numpy() == stored["test"].swapaxes(2, 3)).all()
    assert labels_of(test) == [1, 2]


@pytest.mark.parametrize("file", ["train-images-idx3-ubyte", "train-labels-idx1-ubyte"])
@pytest.mark.parametrize("kept", [0, 6, 10])
def test_a_truncated_file_is_a_data_error(tmp_path: Path, file: str, kept: int) -> None:
    put_mnist(tmp_path, "MNIST")
    path = tmp_path / "MNIST" / "raw" / file
    path.write_bytes(path.read_bytes()[:kept] if file.endswith("1-ubyte") else path.read_bytes()[: kept * 50])
    with pytest.raises(DataError, match=f"cannot read its files in {tmp_path}"):
        torchvision_sets.load("mnist", "train", tmp_path)


def test_places_are_tried_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine, environment = tmp_path / "mine", tmp_path / "environment"
    monkeypatch.setenv("DEEP_CLUSTERING_DATA", str(environment))
    order = [mine, mine / "mnist", environment, environment / "mnist", cache.folder("mnist")]
    for folder in reversed(order):
        put_mnist(folder, "MNIST")
        assert torchvision_sets.load("mnist", "train", mine).origin == str(folder)


@pytest.mark.parametrize("name", list(torchvision_sets.SETS))
def test_when_nothing_answers_the_message_names_places_and_remedies(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError) as caught:
        torchvision_sets.load(name, "train", tmp_path / "mine")
    message = str(caught.value)
    assert f"--data-root {tmp_path}/mine: no such folder" in message
    assert "$DEEP_CLUSTERING_DATA: not set" in message
    assert f"cache {cache.folder(name)}: no such folder" in message
    assert "torchvision's download: cannot reach http" in message
    assert "DEEP_CLUSTERING_DATA=FOLDER" in message
    assert f"unpack into {cache.folder(name)}" in message
    assert not cache.folder(name).exists()


def test_a_download_is_moved_into_the_cache_without_its_archives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(network, "unreachable", lambda urls: None)
    put_mnist(tmp_path / "mirror", "MNIST")

    def download(self: Any) -> None:
        raw = Path(self.raw_folder)
        raw.mkdir(parents=True)
        for file in (tmp_path / "mirror" / "MNIST" / "raw").iterdir():
            (raw / file.name).write_bytes(file.read_bytes())
            (raw / f"{file.name}.gz").write_bytes(b"archive")

    monkeypatch.setattr(torchvision.datasets.MNIST, "download", download)
    train = torchvision_sets.load("mnist", "train")
    assert train.origin == str(cache.folder("mnist"))
    assert len(list((cache.folder("mnist") / "MNIST" / "raw").iterdir())) == 4
    assert [path.name for path in cache.folder("mnist").parent.iterdir()] == ["mnist"]


def test_a_download_that_breaks_off_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "unreachable", lambda urls: None)

    def download(self: Any) -> None:
        put_mnist(Path(self.root), "MNIST")
        raise ConnectionResetError("connection reset")

    monkeypatch.setattr(torchvision.datasets.MNIST, "download", download)
    with pytest.raises(DataError, match="download failed .connection reset"):
        torchvision_sets.load("mnist", "train")
    assert list(cache.folder("mnist").parent.iterdir()) == []
