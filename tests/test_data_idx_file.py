import gzip
import struct
from pathlib import Path

import numpy as np
import pytest

from data import idx_file, sources
from data.image_set import DataError

generator = np.random.default_rng(0)


def put(path: Path, array: np.ndarray) -> np.ndarray:
    """Writes an IDX file of uint8, gzipped if it is called so, and returns its array."""
    content = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return array


def noise(*shape: int) -> np.ndarray:
    return generator.integers(0, 256, shape, dtype=np.uint8)


def bytes_of(*values: int) -> np.ndarray:
    return np.array(values, dtype=np.uint8)


@pytest.mark.parametrize("separator", ["-", "."])
@pytest.mark.parametrize("packed", ["", ".gz"])
def test_a_folder_of_four_files(tmp_path: Path, separator: str, packed: str) -> None:
    pixels, labels = {}, {"train": bytes_of(5, 0, 5), "t10k": bytes_of(9, 0)}
    for part in ("train", "t10k"):
        pixels[part] = put(tmp_path / f"{part}-images{separator}idx3-ubyte{packed}", noise(len(labels[part]), 4, 6))
        put(tmp_path / f"{part}-labels{separator}idx1-ubyte{packed}", labels[part])
    train, test = (sources.load(str(tmp_path), split) for split in ("train", "test"))
    assert (train.images.numpy() == pixels["train"][:, None]).all()
    assert (test.images.numpy() == pixels["t10k"][:, None]).all()
    assert train.labels is not None
    assert train.labels.tolist() == [1, 0, 1]
    assert test.labels is not None
    assert test.labels.tolist() == [2, 0]
    assert train.class_names == test.class_names == ("0", "5", "9")
    everything = sources.load(str(tmp_path), "all")
    assert (everything.images.numpy()[:, 0] == np.concatenate([pixels["train"], pixels["t10k"]])).all()
    assert everything.labels is not None
    assert everything.labels.tolist() == [1, 0, 1, 2, 0]


def test_labels_may_be_packed_where_images_are_not(tmp_path: Path) -> None:
    put(tmp_path / "train-images-idx3-ubyte", noise(2, 4, 4))
    put(tmp_path / "train-labels-idx1-ubyte.gz", bytes_of(1, 2))
    assert idx_file.load(tmp_path, "train").class_names == ("1", "2")


@pytest.mark.parametrize("name", ["train-images-idx3-ubyte", "my.images.idx3-ubyte.gz", "digits-idx3-ubyte"])
def test_one_file_of_images(tmp_path: Path, name: str) -> None:
    pixels = put(tmp_path / name, noise(3, 4, 4))
    images = sources.load(str(tmp_path / name), "all")
    assert (images.images.numpy() == pixels[:, None]).all()
    assert images.labels is None
    with pytest.raises(DataError, match="no test split.*a single file is the train split"):
        sources.load(str(tmp_path / name), "test")


def test_the_labels_beside_one_file(tmp_path: Path) -> None:
    put(tmp_path / "emnist-train-images-idx3-ubyte", noise(3, 4, 4))
    put(tmp_path / "emnist-train-labels-idx1-ubyte", bytes_of(8, 2, 8))
    images = sources.load(str(tmp_path / "emnist-train-images-idx3-ubyte"))
    assert images.labels is not None
    assert images.labels.tolist() == [1, 0, 1]


def test_a_folder_of_one_split(tmp_path: Path) -> None:
    put(tmp_path / "t10k-images-idx3-ubyte", noise(2, 4, 4))
    assert idx_file.holds(tmp_path)
    assert len(idx_file.load(tmp_path, "test")) == 2
    with pytest.raises(DataError, match="no train split.*train-images-idx3-ubyte"):
        idx_file.load(tmp_path, "train")


def test_other_folders_are_not_taken(tmp_path: Path) -> None:
    (tmp_path / "train-images.png").write_bytes(b"")
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(b"")
    assert not idx_file.holds(tmp_path)


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (noise(3, 4, 4), bytes_of(1, 2), "3 images, but .*train-labels-idx1-ubyte has 2 labels"),
        (noise(3, 4, 4), noise(3, 1), r"train-labels-idx1-ubyte has the shape \(3, 1\); labels are"),
        (noise(3, 16), bytes_of(1, 2, 3), r"train-images-idx3-ubyte has the shape \(3, 16\); images are"),
        (noise(0, 4, 4), bytes_of(), "holds no images"),
    ],
)
def test_files_that_do_not_fit(tmp_path: Path, images: np.ndarray, labels: np.ndarray, message: str) -> None:
    put(tmp_path / "train-images-idx3-ubyte", images)
    put(tmp_path / "train-labels-idx1-ubyte", labels)
    with pytest.raises(DataError, match=message):
        idx_file.load(tmp_path, "train")


@pytest.mark.parametrize("damaged", ["train-images-idx3-ubyte", "train-labels-idx1-ubyte"])
@pytest.mark.parametrize("packed", ["", ".gz"])
def test_damaged_files_are_named(tmp_path: Path, damaged: str, packed: str) -> None:
    put(tmp_path / f"train-images-idx3-ubyte{packed}", noise(3, 4, 4))
    put(tmp_path / f"train-labels-idx1-ubyte{packed}", bytes_of(1, 2, 3))
    path = tmp_path / f"{damaged}{packed}"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DataError, match=f"{damaged}.*truncated"):
        idx_file.load(tmp_path, "train")
    path.write_bytes(b"no such thing")
    with pytest.raises(DataError, match=f"{damaged}.*is no IDX file"):
        idx_file.load(tmp_path, "train")


def test_splits_of_different_size_are_not_joined(tmp_path: Path) -> None:
    put(tmp_path / "train-images-idx3-ubyte", noise(2, 4, 4))
    put(tmp_path / "t10k-images-idx3-ubyte", noise(2, 5, 4))
    with pytest.raises(DataError, match=r"t10k.* has images of shape .1, 5, 4.*train.* has .1, 4, 4."):
        idx_file.load(tmp_path, "all")


def test_a_file_that_cannot_be_opened(tmp_path: Path) -> None:
    (tmp_path / "train-images-idx3-ubyte").mkdir()
    with pytest.raises(DataError, match="train-images-idx3-ubyte cannot be read .Is a directory"):
        idx_file.load(tmp_path, "train")


def test_what_kaggle_unpacks(tmp_path: Path) -> None:
    """A file beside a folder of nearly its name, which holds the same file again; labels likewise, or there alone."""
    pixels, labels = noise(3, 4, 6), bytes_of(5, 0, 5)
    put(tmp_path / "train-images.idx3-ubyte", pixels)
    for name, array in (("train-images-idx3-ubyte", pixels), ("train-labels-idx1-ubyte", labels)):
        (tmp_path / name).mkdir()
        put(tmp_path / name / name, array)
    (tmp_path / "t10k-images-idx3-ubyte").mkdir()
    test = put(tmp_path / "t10k-images-idx3-ubyte" / "t10k-images-idx3-ubyte", noise(2, 4, 6))
    put(tmp_path / "t10k-labels.idx1-ubyte", bytes_of(7, 7))
    for path in (tmp_path, tmp_path / "train-images.idx3-ubyte", tmp_path / "train-images-idx3-ubyte"):
        images = sources.load(str(path))
        assert (images.images.numpy()[:, 0] == pixels).all()
        assert images.labels is not None
        assert [images.class_names[i] for i in images.labels.tolist()] == ["5", "0", "5"]
    everything = sources.load(str(tmp_path), "all")
    assert (everything.images.numpy()[:, 0] == np.concatenate([pixels, test])).all()
    assert everything.class_names == ("0", "5", "7")
    assert list(everything.names or ())[2:4] == ["train-images.idx3-ubyte[2]", "t10k-images-idx3-ubyte[0]"]


@pytest.mark.parametrize(
    ("images", "labels"),
    [
        ("TRAIN-IMAGES-IDX3-UBYTE.GZ", "TRAIN-LABELS-IDX1-UBYTE.GZ"),
        ("emnist-letters-train-images-idx3-ubyte.gz", "emnist-letters-train-labels-idx1-ubyte.gz"),
        ("train-images.idx3-ubyte", "train-labels-idx1-ubyte"),
        ("train_images_idx3_ubyte", "train_labels_idx1_ubyte"),
    ],
)
def test_other_names(tmp_path: Path, images: str, labels: str) -> None:
    pixels = put(tmp_path / images, noise(3, 4, 4))
    put(tmp_path / labels, bytes_of(1, 2, 1))
    if images.endswith(".GZ"):
        for name in (images, labels):
            (tmp_path / name).write_bytes(gzip.compress((tmp_path / name).read_bytes()))
    found = sources.load(str(tmp_path))
    assert (found.images.numpy()[:, 0] == pixels).all()
    assert found.class_names == ("1", "2")


def test_several_sets_in_one_folder_are_asked(tmp_path: Path) -> None:
    for name in ("emnist-letters-train-images-idx3-ubyte", "emnist-digits-train-images-idx3-ubyte"):
        put(tmp_path / name, noise(3, 4, 4))
    with pytest.raises(DataError, match="several sets: emnist-digits-train.*, emnist-letters.*or name one file"):
        sources.load(str(tmp_path))
    assert len(sources.load(str(tmp_path / "emnist-letters-train-images-idx3-ubyte"))) == 3


def test_colour_has_four_dimensions(tmp_path: Path) -> None:
    pixels = put(tmp_path / "train-images-idx4-ubyte", noise(3, 8, 9, 3))
    put(tmp_path / "train-labels-idx1-ubyte", bytes_of(1, 2, 1))
    for path in (tmp_path, tmp_path / "train-images-idx4-ubyte"):
        images = sources.load(str(path))
        assert (images.images.permute(0, 2, 3, 1).numpy() == pixels).all()
        assert images.labels is not None


def test_three_images_wide_are_images_also_where_their_width_is_3(tmp_path: Path) -> None:
    put(tmp_path / "train-images-idx3-ubyte", noise(9, 8, 3))
    assert sources.load(str(tmp_path)).images.shape == (9, 1, 8, 3)
