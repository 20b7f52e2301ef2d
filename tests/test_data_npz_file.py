from pathlib import Path

import numpy as np
import pytest

from data import npz_file
from data.image_set import DataError

generator = np.random.default_rng(0)


def save(folder: Path, **arrays: np.ndarray) -> Path:
    path = folder / "set.npz"
    np.savez(path, **arrays)  # type: ignore[arg-type]
    return path


def noise(*shape: int) -> np.ndarray:
    return generator.integers(0, 256, shape, dtype=np.uint8)


def test_grey_images_without_channel(tmp_path: Path) -> None:
    pixels = noise(5, 8, 9)
    images = npz_file.load(save(tmp_path, images=pixels), "train")
    assert (images.images.numpy() == pixels[:, None]).all()
    assert images.labels is None


@pytest.mark.parametrize("channels", [1, 3])
def test_channels_first_and_last(tmp_path: Path, channels: int) -> None:
    pixels = noise(5, channels, 8, 9)
    first = npz_file.load(save(tmp_path, images=pixels), "train")
    last = npz_file.load(save(tmp_path, images=pixels.transpose(0, 2, 3, 1)), "train")
    assert (first.images.numpy() == pixels).all()
    assert (last.images.numpy() == pixels).all()
    assert last.images.is_contiguous()


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_floats_from_0_to_1_are_scaled(tmp_path: Path, dtype: type) -> None:
    values: np.ndarray = np.array([[[0.0, 1.0, 0.5, 100 / 255]]], dtype=dtype)
    assert npz_file.load(save(tmp_path, images=values), "train").images.flatten().tolist() == [0, 255, 128, 100]


def test_labels_without_names_are_named_after_their_values(tmp_path: Path) -> None:
    images = npz_file.load(save(tmp_path, images=noise(4, 8, 8), labels=np.array([7, 2, 7, 10])), "train")
    assert images.labels is not None
    assert images.labels.tolist() == [1, 0, 1, 2]
    assert images.class_names == ("2", "7", "10")


def test_labels_with_names(tmp_path: Path) -> None:
    labels = np.array([2, 0, 0, 2], dtype=np.uint8)
    path = save(tmp_path, images=noise(4, 8, 8), labels=labels, class_names=np.array(["a", "bc", "d"]))
    images = npz_file.load(path, "all")
    assert images.labels is not None
    assert images.labels.tolist() == [2, 0, 0, 2]
    assert images.class_names == ("a", "bc", "d")
    assert images.split == "all"


def test_there_is_no_test_split(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no test split"):
        npz_file.load(save(tmp_path, images=noise(4, 8, 8)), "test")


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"names": np.array(["a"])}, "no `images`; it has: names"),
        ({}, "no `images`; it has: nothing"),
        ({"images": noise(2, 8, 8).astype(np.int64) - 300}, "holds numbers from -[0-9]+ to -[0-9]+. .*uint8"),
        (
            {"images": noise(2, 8, 8) * 1e6},
            "holds numbers from [0-9.e+]+ to [0-9.e+]+, which are neither 8 bits nor 10",
        ),
        ({"images": np.full((2, 8, 8), -0.1)}, r"may be -0.5 to 0.5 or a part of -1 to 1. Save .x . 0.5. . 255 for"),
        ({"images": np.full((2, 8, 8), 1.08)}, "holds numbers from 1.08 to 1.08. .* uint8"),
        ({"images": np.full((2, 8, 8), np.nan)}, "`images` holds numbers that are missing or infinite"),
        ({"images": noise(2, 8)}, "shape .2, 8."),
        ({"images": noise(2, 8, 8, 5)}, "shape .2, 8, 8, 5."),
        ({"images": noise(2, 3, 8, 1)}, "may be .n, c, h, w. or .n, h, w, c."),
        ({"images": noise(0, 8, 8)}, "holds no images"),
        (
            {"images": np.array([None, 1], dtype=object)},
            "`images` is an array of Python objects, .* numpy.stack, and strings with .astype.str.",
        ),
        ({"images": noise(2, 8, 8), "labels": np.array([0, 1, 0])}, "2 images but 3 labels"),
        ({"images": noise(2, 8, 8), "labels": np.array([0.5, 1.0])}, "`labels` holds 0.5; .* data.labels=none"),
        ({"images": noise(2, 8, 8), "labels": np.array([np.nan, 1])}, "`labels`: some are missing. data.labels=none"),
        ({"images": noise(2, 8, 8), "labels": np.array([[1, 1], [0, 1]])}, "not a single 1 in each row"),
        ({"images": noise(2, 8, 8), "labels": np.array([0, -1])}, "labels start at -1"),
        (
            {"images": noise(2, 8, 8), "labels": np.array(["a", "b"], dtype=object)},
            "`labels` is an array of Python objects, .*.astype.str.",
        ),
        (
            {"images": noise(2, 8, 8), "labels": np.array([0, 5]), "class_names": np.array(["a", "b"])},
            "labels run from 0 to 5, but there are 2 class names",
        ),
        (
            {"images": noise(2, 8, 8), "labels": np.array([0, 1]), "class_names": np.array([0, 1])},
            "`class_names` are int64",
        ),
    ],
)
def test_other_contents_are_refused(tmp_path: Path, arrays: dict[str, np.ndarray], message: str) -> None:
    path = save(tmp_path, **arrays)
    with pytest.raises(DataError, match=message) as caught:
        npz_file.load(path, "train")
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.99])
def test_a_truncated_file(tmp_path: Path, share: float) -> None:
    path = save(tmp_path, images=noise(20, 8, 8))
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(DataError, match=r"set\.npz cannot be read"):
        npz_file.load(path, "train")


def test_a_file_with_flipped_bytes(tmp_path: Path) -> None:
    path = tmp_path / "set.npz"
    np.savez_compressed(path, images=noise(20, 8, 8))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"set\.npz cannot be read"):
        npz_file.load(path, "train")


def test_a_bare_array_is_no_npz(tmp_path: Path) -> None:
    with (tmp_path / "set.npz").open("wb") as file:
        np.save(file, noise(2, 8, 8))
    with pytest.raises(DataError, match="a single bare array"):
        npz_file.load(tmp_path / "set.npz", "train")
