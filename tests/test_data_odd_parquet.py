"""Tables of pictures as public data sets have them."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from data import sources
from data.image_set import DataError, ImageSet
from data.reading import Reading

generator = np.random.default_rng(0)
PIXELS = generator.integers(0, 256, (6, 8, 8), dtype=np.uint8)


def png(pixels: np.ndarray | Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    stream = BytesIO()
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    image.save(stream, kind, **options)
    return stream.getvalue()


PNGS = [png(image) for image in PIXELS]


def save(path: Path, **columns: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path)
    return path


def labels(images: ImageSet) -> list[str]:
    assert images.labels is not None
    return [images.class_names[label] for label in images.labels.tolist()]


def notes(images: ImageSet) -> str:
    assert images.was_read is not None
    return "; ".join(images.was_read.notes)


@pytest.mark.parametrize("name", ["img", "picture", "jpg", "pixel_values", "whatever"])
def test_the_column_that_holds_images_under_any_name(tmp_path: Path, name: str) -> None:
    path = save(tmp_path / "a.parquet", **{"id": range(6), name: [{"bytes": p, "path": "x"} for p in PNGS]})
    images = sources.load(str(path))
    assert (images.images.numpy()[:, 0] == PIXELS).all()
    assert "the column `id` was not read" in notes(images)


def test_image_wins_over_other_columns_of_images(tmp_path: Path) -> None:
    black = png(np.zeros((8, 8), dtype=np.uint8))
    features = [[0.5] * 64] * 6
    images = sources.load(str(save(tmp_path / "a.parquet", mask=[black] * 6, image=PNGS, embedding=features)))
    assert (images.images.numpy()[:, 0] == PIXELS).all()
    images = sources.load(str(save(tmp_path / "b.parquet", embedding=features, photo=PNGS)))
    assert (images.images.numpy()[:, 0] == PIXELS).all()


@pytest.mark.parametrize(
    "column",
    [
        pa.array([image.ravel().tolist() for image in PIXELS]),
        pa.array(PIXELS.tolist()),
        pa.array(PIXELS[..., None].tolist()),
        pa.array([image.ravel().tolist() for image in PIXELS], pa.list_(pa.uint8(), 64)),
        pa.array([image.ravel() / 255 for image in PIXELS], pa.list_(pa.float32())),
    ],
    ids=["flat", "nested", "with a channel", "of one length", "shares"],
)
def test_lists_of_numbers(tmp_path: Path, column: pa.Array) -> None:
    images = sources.load(str(save(tmp_path / "a.parquet", image=column, label=["a", "b"] * 3)))
    assert (images.images.numpy()[:, 0] == PIXELS).all()
    assert labels(images) == ["a", "b"] * 3


@pytest.mark.parametrize(
    ("column", "names"),
    [
        (["cat", "dog"] * 3, ["cat", "dog"] * 3),
        (pa.array(["cat", "dog"] * 3).dictionary_encode(), ["cat", "dog"] * 3),
        ([True, False] * 3, ["1", "0"] * 3),
        ([7.0, 10.0] * 3, ["7", "10"] * 3),
        (["7", "10"] * 3, ["7", "10"] * 3),
    ],
)
@pytest.mark.parametrize("name", ["label", "labels", "class", "Target"])
def test_labels_of_any_kind_and_name(tmp_path: Path, name: str, column: Any, names: list[str]) -> None:
    path = save(tmp_path / "a.parquet", **{"image": PNGS, name: column})
    assert labels(sources.load(str(path))) == names
    assert sources.load(str(path), reading=Reading(labels="none")).labels is None


def test_two_columns_of_labels_are_asked_and_passed_over_without_labels(tmp_path: Path) -> None:
    path = save(tmp_path / "a.parquet", image=PNGS, target=range(6), category=range(6))
    with pytest.raises(DataError, match="the columns `target`, `category`.*data.labels=none"):
        sources.load(str(path))
    assert sources.load(str(path), reading=Reading(labels="none")).labels is None


def test_unknown_labels_are_none_and_that_is_said(tmp_path: Path) -> None:
    save(tmp_path / "train.parquet", image=PNGS[:4], label=[1, 0, 1, 0])
    save(tmp_path / "test.parquet", image=PNGS[4:], label=[-1, -1])
    assert labels(sources.load(str(tmp_path))) == ["1", "0", "1", "0"]
    everything = sources.load(str(tmp_path), "all")
    assert everything.labels is None
    assert "all labels of test.parquet are -1: it has none; test has no labels, so all has none" in notes(everything)


@pytest.mark.parametrize(
    ("train", "held", "test"),
    [
        ("mnist-train", "mnist-val", "mnist-test"),
        ("Train", "Validation", "Test"),
        ("TRAINING", "VALID", "TESTING"),
        ("train-00000-of-00001-0a1b2c3d4e5f6071", "validation-00000-of-00001-ff", "test-00000-of-00001-12"),
        ("data/train-00000-of-00001", "data/validation-00000-of-00001", "data/test-00000-of-00001"),
        ("train/0000", "validation/0000", "test/0000"),
    ],
)
def test_splits_by_names_of_any_kind(tmp_path: Path, train: str, held: str, test: str) -> None:
    for name, rows in ((train, slice(0, 3)), (held, slice(3, 4)), (test, slice(4, 6))):
        save(tmp_path / f"{name}.parquet", image=PNGS[rows])
    for split, rows in (("train", (0, 3)), ("validation", (3, 4)), ("test", (4, 6)), ("all", (0, 6))):
        images = sources.load(str(tmp_path), split)
        assert (images.images.numpy()[:, 0] == PIXELS[slice(*rows)]).all()
    if "/" not in train:
        assert len(sources.load(str(tmp_path / f"{train}.parquet"), "test")) == 2


def test_a_missing_shard_with_a_hash_is_noticed(tmp_path: Path) -> None:
    save(tmp_path / "train-00000-of-00002-0a1b2c3d.parquet", image=PNGS)
    for path in (tmp_path, tmp_path / "train-00000-of-00002-0a1b2c3d.parquet"):
        with pytest.raises(DataError, match=r"not all its shards: train-00001-of-00002-….parquet is missing"):
            sources.load(str(path))


def test_what_is_of_no_split_and_what_holds_no_images_is_said(tmp_path: Path) -> None:
    save(tmp_path / "train.parquet", image=PNGS[:3])
    save(tmp_path / "extra.parquet", image=PNGS[3:4])
    save(tmp_path / "urls.parquet", url=["x"])
    assert len(sources.load(str(tmp_path))) == 3
    everything = sources.load(str(tmp_path), "all")
    assert len(everything) == 4
    assert "urls.parquet holds no images and was not read" in notes(everything)
    assert "extra.parquet says no split and is read with all alone" in notes(everything)


def test_pictures_of_other_kinds_are_those_of_a_folder(tmp_path: Path) -> None:
    """Turned by EXIF, with transparency, with a palette, of 16 bits, of other sizes: one decoder."""
    colour = Image.fromarray(generator.integers(0, 256, (8, 8, 3), dtype=np.uint8))
    turned = Image.Exif()
    turned[0x0112] = 6
    rgba = Image.fromarray(generator.integers(0, 256, (8, 8, 4), dtype=np.uint8))
    palette = colour.quantize(7)
    palette.info["transparency"] = 3
    files = {
        "a.png": png(colour),
        "b.jpg": png(colour, "JPEG", exif=turned),
        "c.png": png(rgba),
        "d.png": png(palette),
        "e.png": png(PIXELS[0].astype(np.uint16) * 257),
        "f.png": png(np.asarray(colour.resize((16, 16)))),
    }
    (tmp_path / "folder").mkdir()
    for name, content in files.items():
        (tmp_path / "folder" / name).write_bytes(content)
    table = save(tmp_path / "a.parquet", image=[{"bytes": content, "path": None} for content in files.values()])
    for reading in (Reading(), Reading(size=(12, 9), fit="contain", background="#102030"), Reading(channels=1)):
        folder, rows = (sources.load(str(path), reading=reading) for path in (tmp_path / "folder", table))
        assert (folder.images == rows.images).all()
    assert list(rows.names or ()) == [f"a.parquet[{i}]" for i in range(6)]


def test_unreadable_pictures_are_left_out_and_named(tmp_path: Path) -> None:
    contents: list[bytes | None] = [*PNGS, *PNGS, PNGS[0][:80], None]
    images = sources.load(str(save(tmp_path / "a.parquet", image=contents, label=range(14))))
    assert images.was_read is not None
    assert [(file.name, file.reason) for file in images.was_read.left_out] == [
        ("a.parquet[12]", "truncated"),
        ("a.parquet[13]", "no bytes in the table"),
    ]
    assert len(images) == 12
    assert labels(images) == [str(i) for i in range(12)]
    with pytest.raises(DataError, match=r"a\.parquet\[12\]"):
        sources.load(str(tmp_path / "a.parquet"), reading=Reading(unreadable="stop"))


def test_a_table_beside_pictures_is_not_what_the_folder_is_about(tmp_path: Path) -> None:
    save(tmp_path / "metadata.parquet", url=["a.png"])
    (tmp_path / "a.png").write_bytes(PNGS[0])
    assert len(sources.load(str(tmp_path))) == 1
