"""Numbers of any range and shape as images, with pixels worked out by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from data import npy_file, npz_file, sources
from data.image_set import DataError, ImageSet
from data.reading import Reading

generator = np.random.default_rng(0)
PIXELS = generator.integers(0, 256, (20, 6, 7), dtype=np.uint8)
PIXELS[0, 0, :2] = 0, 255


def load(folder: Path, split: str = "train", reading: Reading | None = None, **arrays: np.ndarray) -> ImageSet:
    np.savez(folder / "set.npz", **arrays)  # type: ignore[arg-type]
    return npz_file.load(folder / "set.npz", split, reading or Reading())


def notes(images: ImageSet) -> str:
    assert images.was_read is not None
    return "; ".join(images.was_read.notes)


def labels(images: ImageSet) -> list[str]:
    assert images.labels is not None
    return [images.class_names[label] for label in images.labels.tolist()]


@pytest.mark.parametrize(
    ("numbers", "pixels", "note"),
    [
        ([0.0, 0.2, 1.0], [0, 51, 255], "from 0 to 1 were scaled"),
        ([-1.0, -0.6, 0.0, 1.0], [0, 51, 128, 255], "from -1 to 1 were scaled"),  # 127.5 is rounded to even
        ([0.0, 12.0, 255.0], [0, 12, 255], ""),
        ([0.4, 12.6, 254.9], [0, 13, 255], "were rounded"),
        (np.array([0, 200], dtype=np.int64), [0, 200], ""),
        (np.array([0, 2048, 4095], dtype=np.uint16), [0, 128, 255], "12 bits, 0 to 4095"),
        (np.array([0, 257, 65535], dtype=np.uint16), [0, 1, 255], "16 bits, 0 to 65535"),
        (np.array([0, 8, 16], dtype=np.uint8), [0, 128, 255], "4 bits, 0 to 16"),
        (np.array([0, 1, 1], dtype=np.int32), [0, 255, 255], "1 bits, 0 to 1"),
        (np.array([True, False]), [255, 0], "true and false"),
        (np.array([0, 20], dtype=np.uint8), [0, 20], "the brightest pixel of all is 20 of 255"),
    ],
)
def test_one_scale_for_all_numbers_and_it_is_said(
    tmp_path: Path, numbers: list[float], pixels: list[int], note: str
) -> None:
    images = load(tmp_path, images=np.array(numbers).reshape(1, 1, -1))
    assert images.images.flatten().tolist() == pixels
    assert (note in notes(images)) if note else not notes(images)


def test_the_scale_is_that_of_all_splits(tmp_path: Path) -> None:
    images = load(tmp_path, "test", x_train=np.array([[[0, 4095]]]), x_test=np.array([[[0, 16]]]))
    assert images.images.flatten().tolist() == [0, 1]
    with pytest.raises(DataError, match="x_test` holds numbers up to 0.5, but .*x_train` up to 255"):
        load(tmp_path, x_train=np.array([[[0.0, 255.0]]]), x_test=np.array([[[0.0, 0.5]]]))


def test_new_images_are_scaled_as_those_before(tmp_path: Path) -> None:
    dark = load(tmp_path, reading=Reading(bits=12), images=np.array([[[0, 1023]]], dtype=np.uint16))
    assert dark.images.flatten().tolist() == [0, 64]  # 1023 · 255 / 4095 = 63.7
    assert dark.was_read is not None
    assert dark.was_read.bits == 12


def test_rows_that_make_no_square_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"set\.npz: `images` has the shape \(20, 42\); 42 numbers make no square"):
        load(tmp_path, images=PIXELS.reshape(20, 42))


def test_flat_rows_are_square_images(tmp_path: Path) -> None:
    square = PIXELS[:, :6, :6]
    images = load(tmp_path, images=square.reshape(20, 36))
    assert (images.images.numpy()[:, 0] == square).all()
    assert "rows of 36 numbers are images of 6×6" in notes(images)
    with pytest.raises(DataError, match=r"may be one image or 36 rows of square images.*x\[None\]"):
        load(tmp_path, images=PIXELS[0, 0, 0].repeat(36 * 36).reshape(36, 36))


def smooth_colour(n: int, side: int) -> np.ndarray:
    """(n, side, side, 3) whose neighbours are alike and whose colours differ."""
    slope = np.linspace(0, 60, side)
    shade = slope[None, :, None] + slope[None, None, :]  # (1, side, side)
    return np.stack([shade + 10, shade + 120, 60 - shade / 2], axis=3).repeat(n, axis=0).astype(np.uint8)


def test_the_order_of_colours_in_flat_rows_is_the_smoother_one(tmp_path: Path) -> None:
    pictures = smooth_colour(4, 8)
    for rows in (pictures.reshape(4, 192), pictures.transpose(0, 3, 1, 2).reshape(4, 192)):
        images = load(tmp_path, images=rows)
        assert (images.images.permute(0, 2, 3, 1).numpy() == pictures).all()
    with pytest.raises(DataError, match=r"by pixel or by channel. Save .*reshape\(-1, 8, 8, 3\) for the first"):
        load(tmp_path, images=generator.integers(0, 256, (50, 192)))


@pytest.mark.parametrize("order", ["channels last", "channels first", "images last"])
def test_transparency_is_shown_on_the_background(tmp_path: Path, order: str) -> None:
    rgba = np.zeros((5, 6, 7, 4), dtype=np.uint8)
    rgba[:, 0, 0] = 200, 100, 0, 255
    rgba[:, 0, 1] = 200, 100, 0, 51  # a fifth of the colour and four fifths of what is behind
    axes = {"channels last": (0, 1, 2, 3), "channels first": (0, 3, 1, 2), "images last": (1, 2, 3, 0)}[order]
    white = load(tmp_path, images=rgba.transpose(axes))
    assert white.images[0, :, 0, :3].T.tolist() == [[200, 100, 0], [244, 224, 204], [255, 255, 255]]
    black = load(tmp_path, reading=Reading(background="black"), images=rgba.transpose(axes))
    assert black.images[0, :, 0, :3].T.tolist() == [[200, 100, 0], [40, 20, 0], [0, 0, 0]]
    assert black.was_read is not None
    assert black.was_read.background == "black"


def test_grey_with_transparency(tmp_path: Path) -> None:
    images = load(tmp_path, images=np.full((2, 6, 7, 2), (100, 51), dtype=np.uint8))
    assert images.images.shape == (2, 1, 6, 7)
    assert (images.images == 224).all()  # 100 / 5 + 255 · 4 / 5


def test_one_picture_is_one_image(tmp_path: Path) -> None:
    picture = generator.integers(0, 256, (9, 8, 3), dtype=np.uint8)
    images = load(tmp_path, images=picture)
    assert (images.images.permute(0, 2, 3, 1).numpy() == picture).all()
    assert "read as one image, colour" in notes(images)
    # With a label for each they are nine images.
    assert load(tmp_path, images=picture, labels=np.arange(9)).images.shape == (9, 1, 8, 3)


def test_volumes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no axis is one of channels, and volumes are not read"):
        load(tmp_path, images=np.zeros((5, 8, 8, 8)))


@pytest.mark.parametrize(
    ("given", "names"),
    [
        (np.array([3, 10, 3]), ["3", "10", "3"]),
        (np.array([[3], [10], [3]]), ["3", "10", "3"]),
        (np.array(["3", "10", "3"]), ["3", "10", "3"]),
        (np.array(["cat ", "a dog", "cat"]), ["cat", "a dog", "cat"]),
        (np.array([b"cat", b"dog", b"cat"]), ["cat", "dog", "cat"]),
        (np.array([3.0, 10.0, 3.0]), ["3", "10", "3"]),
        (np.array([True, False, True]), ["1", "0", "1"]),
        (np.array([[0, 1.0], [1, 0], [0, 1]]), ["1", "0", "1"]),
        (np.array(["007", "7", "7"]), ["007", "7", "7"]),
    ],
)
def test_labels_of_any_kind(tmp_path: Path, given: np.ndarray, names: list[str]) -> None:
    images = load(tmp_path, images=PIXELS[:3], labels=given)
    assert labels(images) == names
    assert set(images.class_names) == set(names)
    assert load(tmp_path, reading=Reading(labels="none"), images=PIXELS[:3], labels=given).labels is None


@pytest.mark.parametrize(
    "names",
    [
        ("train_images", "train_labels", "val_images", "val_labels", "test_images", "test_labels"),
        ("x_train", "y_train", "x_val", "y_val", "x_test", "y_test"),
        ("X_train", "Y_train", "X_valid", "Y_valid", "X_test", "Y_test"),
        ("trainX", "trainY", "validX", "validY", "testX", "testY"),
        ("TRAIN_DATA", "TRAIN_TARGET", "VALIDATION_DATA", "VALIDATION_TARGET", "TEST_DATA", "TEST_TARGET"),
    ],
)
def test_splits_by_the_names_of_arrays(tmp_path: Path, names: tuple[str, ...]) -> None:
    parts = {"train": slice(0, 9), "validation": slice(9, 13), "test": slice(13, 20), "all": slice(0, 20)}
    values = np.arange(20) % 5 + 3
    arrays: dict[str, np.ndarray] = {}
    for part, image, label in zip(list(parts)[:3], names[::2], names[1::2], strict=True):
        arrays |= {image: PIXELS[parts[part]], label: values[parts[part], None]}
    for part, rows in parts.items():
        images = load(tmp_path, part, **arrays)
        assert (images.images.numpy()[:, 0] == PIXELS[rows]).all()
        assert labels(images) == [str(value) for value in values[rows]]
        assert images.names is not None
        assert images.names[0] == f"set.npz/{names[2 * (list(parts).index(part) % 3)]}[0]"


@pytest.mark.parametrize("names", [("X", "y"), ("data", "target"), ("arr_0", "arr_1"), ("faces", "people")])
def test_other_names_of_arrays(tmp_path: Path, names: tuple[str, str]) -> None:
    images = load(tmp_path, **{names[0]: PIXELS, names[1]: np.arange(20) % 3})
    assert (images.images.numpy()[:, 0] == PIXELS).all()
    assert labels(images)[:4] == ["0", "1", "2", "0"]


def test_what_may_be_two_things_is_asked_and_what_is_left_is_said(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"more than one array that can be images.*arr_0 \(20, 6, 7\), arr_1"):
        load(tmp_path, arr_0=PIXELS, arr_1=PIXELS)
    with pytest.raises(DataError, match="both `images` and `x` for the train split"):
        load(tmp_path, images=PIXELS, x=PIXELS)
    assert notes(load(tmp_path, images=PIXELS, fine_labels=np.arange(20))) == "`fine_labels` was not read"


def test_labels_of_one_split_alone_are_missed_in_all_and_that_is_said(tmp_path: Path) -> None:
    arrays = {"x_train": PIXELS[:12], "y_train": np.arange(12), "x_test": PIXELS[12:]}
    assert len(labels(load(tmp_path, "train", **arrays))) == 12
    everything = load(tmp_path, "all", **arrays)
    assert everything.labels is None
    assert "test has no labels, so all has none" in notes(everything)


def test_a_bare_array_and_what_lies_beside_it(tmp_path: Path) -> None:
    np.save(tmp_path / "x_train.npy", PIXELS[:12])
    np.save(tmp_path / "y_train.npy", np.arange(12) % 4)
    np.save(tmp_path / "x_test.npy", PIXELS[12:])
    np.save(tmp_path / "y_test.npy", np.arange(8) % 5)
    images = sources.load(str(tmp_path / "x_train.npy"), "all")
    assert (images.images.numpy()[:, 0] == PIXELS).all()
    assert labels(images)[10:15] == ["2", "3", "0", "1", "2"]
    assert images.names is not None
    assert [images.names[11], images.names[12]] == ["x_train.npy[11]", "x_test.npy[0]"]
    np.save(tmp_path / "photos.npy", PIXELS)
    assert npy_file.load(tmp_path / "photos.npy", "train").labels is None
    np.save(tmp_path / "photos_labels.npy", np.arange(20))
    assert npy_file.load(tmp_path / "photos.npy", "train").labels is not None
    np.save(tmp_path / "photos_labels.npy", np.arange(19))
    with pytest.raises(DataError, match=r"photos\.npy has 20 images but 19 labels"):
        npy_file.load(tmp_path / "photos.npy", "train")


def test_a_bare_array_is_mapped_and_not_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.save(tmp_path / "a.npy", PIXELS)
    opened: list[np.ndarray] = []
    load_array = np.load
    monkeypatch.setattr(np, "load", lambda *given, **options: opened.append(load_array(*given, **options)) or opened[0])
    images = npy_file.load(tmp_path / "a.npy", "train").images
    assert isinstance(opened[0], np.memmap)
    assert np.shares_memory(opened[0], images.numpy())


def test_objects_are_not_unpickled(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array([PIXELS[0], None], dtype=object))
    with pytest.raises(DataError, match=r"a\.npy cannot be read: it holds Python objects.*numpy.stack"):
        npy_file.load(tmp_path / "a.npy", "train")


def test_size_and_channels_as_asked(tmp_path: Path) -> None:
    colour = load(tmp_path, reading=Reading(channels=3, size=(3, 14), fit="stretch"), images=np.full((2, 6, 7), 90))
    assert colour.images.shape == (2, 3, 3, 14)
    assert (colour.images == 90).all()
    rgb = np.full((2, 6, 7, 3), (200, 100, 50), dtype=np.uint8)
    grey = load(tmp_path, reading=Reading(channels=1), images=rgb)
    assert (grey.images == 124).all()  # 0.299 · 200 + 0.587 · 100 + 0.114 · 50 = 124.2
