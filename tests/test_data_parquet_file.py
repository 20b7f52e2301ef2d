import json
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from data import parquet_file, parquet_rows, sources
from data.image_set import DataError

generator = np.random.default_rng(0)


def noise(*shape: int) -> np.ndarray:
    return generator.integers(0, 256, shape, dtype=np.uint8)


def encoded(pixels: np.ndarray, kind: str = "PNG") -> bytes:
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, kind)
    return buffer.getvalue()


def struct(contents: Sequence[bytes | None]) -> pa.Array:
    return pa.array([{"bytes": content, "path": "x.png"} for content in contents])


def save(
    path: Path,
    images: np.ndarray | Sequence[np.ndarray] | pa.Array,
    labels: Sequence[int] | pa.Array | None = None,
    names: Sequence[str] | None = None,
    **options: Any,
) -> Path:
    """Writes images, pixels to be encoded as PNG or a finished column, as Hugging Face does."""
    column = images if isinstance(images, pa.Array) else struct([encoded(image) for image in images])
    table = pa.table({"image": column} if labels is None else {"image": column, "label": labels})
    if names is not None:
        features = {"image": {"_type": "Image"}, "label": {"names": list(names), "_type": "ClassLabel"}}
        table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    pq.write_table(table, path, **options)
    return path


def labels_of(path: Path, split: str = "train") -> list[int]:
    labels = parquet_file.load(path, split).labels
    assert labels is not None
    return labels.tolist()


def test_hugging_faces_layout(tmp_path: Path) -> None:
    pixels = noise(3, 28, 28)
    path = save(tmp_path / "train-00000-of-00001.parquet", pixels, [2, 0, 2], ["a", "b", "T-shirt / top"])
    images = sources.load(str(path))
    assert (images.images.numpy() == pixels[:, None]).all()
    assert images.labels is not None
    assert images.labels.tolist() == [2, 0, 2]
    assert images.class_names == ("a", "b", "T-shirt / top")
    assert (images.name, images.split) == (str(path), "train")


@pytest.mark.parametrize("kind", [pa.binary(), pa.large_binary()])
def test_plain_binary_in_several_formats(tmp_path: Path, kind: pa.DataType) -> None:
    pixels = noise(3, 6, 5)
    contents = [encoded(image, fmt) for image, fmt in zip(pixels, ("PNG", "BMP", "TIFF"), strict=True)]
    images = parquet_file.load(save(tmp_path / "a.parquet", pa.array(contents, kind)), "all")
    assert (images.images.numpy() == pixels[:, None]).all()
    assert images.labels is None
    assert images.split == "all"


def test_colour(tmp_path: Path) -> None:
    pixels = noise(2, 5, 4, 3)
    images = parquet_file.load(save(tmp_path / "a.parquet", pixels), "train").images
    assert images.shape == (2, 3, 5, 4)
    assert (images.permute(0, 2, 3, 1).numpy() == pixels).all()


def test_several_batches_and_row_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet_rows, "ROWS_AT_ONCE", 4)
    monkeypatch.setattr(parquet_rows, "BATCHES_KEPT", 1)
    pixels = noise(11, 3, 3)
    path = save(tmp_path / "a.parquet", pixels, range(11), row_group_size=5)
    assert (parquet_file.load(path, "train").images.numpy()[:, 0] == pixels).all()
    assert labels_of(path) == list(range(11))


@pytest.mark.parametrize(
    "metadata", [None, {"huggingface": "{"}, {"huggingface": '{"info": {"features": {"label": 3}}}'}]
)
def test_without_names_classes_are_named_after_their_values(tmp_path: Path, metadata: Any) -> None:
    table = pa.table({"image": struct([encoded(noise(2, 2))] * 3), "label": pa.array([7, 3, 7], pa.int16())})
    pq.write_table(table.replace_schema_metadata(metadata), tmp_path / "a.parquet")
    images = parquet_file.load(tmp_path / "a.parquet", "train")
    assert images.class_names == ("3", "7")
    assert images.labels is not None
    assert images.labels.tolist() == [1, 0, 1]


@pytest.fixture
def shards(tmp_path: Path) -> tuple[Path, np.ndarray, np.ndarray]:
    """A folder of two shards of train, one of test, one of validation, and what is none."""
    train, test = noise(5, 3, 3), noise(2, 3, 3)
    save(tmp_path / "train-00000-of-00002.parquet", train[:3], [4, 5, 4])
    save(tmp_path / "train-00001-of-00002.parquet", train[3:], [6, 4])
    save(tmp_path / "test-00000-of-00001.parquet", test, [9, 5])
    save(tmp_path / "validation-00000-of-00001.parquet", np.full((1, 3, 3), 7, dtype=np.uint8), [0])
    (tmp_path / "README.md").write_text("no table")
    (tmp_path / "._train-00000-of-00002.parquet").write_bytes(b"no table")
    return tmp_path, train, test


@pytest.mark.parametrize(
    "name", ["", "train-00000-of-00002.parquet", "train-00001-of-00002.parquet"], ids=["folder", "first", "second"]
)
def test_shards_and_splits(shards: tuple[Path, np.ndarray, np.ndarray], name: str) -> None:
    folder, train, test = shards
    path = folder / name
    held = np.full((1, 3, 3), 7, dtype=np.uint8)
    everything = np.concatenate([train, held, test])
    for split, pixels in (("train", train), ("validation", held), ("test", test), ("all", everything)):
        images = sources.load(str(path), split)
        assert (images.images.numpy()[:, 0] == pixels).all()
        assert images.class_names == ("0", "4", "5", "6", "9")
        assert images.split == split
    assert labels_of(path, "train") == [1, 2, 1, 3, 1]
    assert labels_of(path, "test") == [4, 2]
    assert labels_of(path, "all") == [1, 2, 1, 3, 1, 0, 4, 2]
    assert list(sources.load(str(path), "train").names or ()) == [
        *(f"train-00000-of-00002.parquet[{i}]" for i in range(3)),
        *(f"train-00001-of-00002.parquet[{i}]" for i in range(2)),
    ]


def test_a_test_file_named_itself_is_a_set_of_its_own(shards: tuple[Path, np.ndarray, np.ndarray]) -> None:
    folder, _, test = shards
    path = folder / "test-00000-of-00001.parquet"
    assert (parquet_file.load(path, "train").images.numpy()[:, 0] == test).all()
    assert len(parquet_file.load(path, "all")) == 2
    with pytest.raises(DataError, match="no test split"):
        parquet_file.load(path, "test")


@pytest.mark.parametrize("missing", ["train-00000-of-00002.parquet", "train-00001-of-00002.parquet"])
def test_a_missing_shard_is_named(shards: tuple[Path, np.ndarray, np.ndarray], missing: str) -> None:
    folder, _, _ = shards
    (folder / missing).unlink()
    with pytest.raises(DataError, match=f"not all its shards: {missing} is missing"):
        parquet_file.load(folder, "train")


def test_a_folder_without_splits_is_train(tmp_path: Path) -> None:
    save(tmp_path / "0001.parquet", noise(2, 3, 3))
    save(tmp_path / "0000.parquet", noise(1, 3, 3))
    assert len(parquet_file.load(tmp_path, "train")) == 3
    with pytest.raises(DataError, match=r"no test split. .*train….parquet and test….parquet"):
        parquet_file.load(tmp_path, "test")


def test_labels_of_one_split_alone(tmp_path: Path) -> None:
    save(tmp_path / "train.parquet", noise(2, 3, 3), [1, 0])
    save(tmp_path / "test.parquet", noise(2, 3, 3))
    assert labels_of(tmp_path) == [1, 0]
    assert parquet_file.load(tmp_path, "test").labels is None
    assert parquet_file.load(tmp_path, "all").labels is None


def test_splits_of_different_classes_or_sizes(tmp_path: Path) -> None:
    save(tmp_path / "train.parquet", noise(2, 3, 3), [1, 0], ["a", "b"])
    save(tmp_path / "test.parquet", noise(2, 3, 3), [1, 0], ["b", "a"])
    with pytest.raises(DataError, match="name different classes"):
        parquet_file.load(tmp_path, "train")
    save(tmp_path / "test.parquet", noise(2, 3, 4), [1, 0], ["a", "b"])
    # One size is chosen for all splits, as for a folder of pictures.
    assert parquet_file.load(tmp_path, "train").images.shape == parquet_file.load(tmp_path, "test").images.shape


GOOD = encoded(noise(4, 4))


@pytest.mark.parametrize(
    ("contents", "message"),
    [
        ([GOOD, b"no image"], r"1 of 2 image files cannot be read(.|\n)*a.parquet\[1\] \(not an image\)"),
        ([GOOD, GOOD[:50]], r"a.parquet\[1\] \(truncated\)"),
        ([GOOD, b"<html>not found</html>"], r"a.parquet\[1\] \(a web page\)"),
        ([GOOD, b""], r"a.parquet\[1\] \(empty\)"),
        ([GOOD, None], r"a.parquet\[1\] \(no bytes in the table\)"),
        ([], "holds no images"),
    ],
)
def test_images_that_do_not_fit(tmp_path: Path, contents: list[bytes | None], message: str) -> None:
    images = pa.array(
        [{"bytes": content} for content in contents], pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    )
    path = save(tmp_path / "a.parquet", images)
    with pytest.raises(DataError, match=message) as caught:
        parquet_file.load(path, "train")
    assert str(path) in str(caught.value)


def test_a_missing_row(tmp_path: Path) -> None:
    path = save(tmp_path / "a.parquet", pa.array([{"bytes": GOOD}, None]))
    with pytest.raises(DataError, match=r"a.parquet\[1\] \(no bytes in the table\)"):
        parquet_file.load(path, "train")


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (
            {"url": ["x"], "label": [1]},
            r"no column `image`, and none that can be images; it has: url \(string\), label",
        ),
        ({"a": [GOOD], "b": [GOOD]}, "several that can be images: a, b. Rename one"),
        ({"image": [GOOD], "class": [1], "target": [1]}, "columns `class`, `target`, and one can be the label"),
        ({"image": ["x.png"]}, "`image` is string"),
        ({"image": [[1, 2, 3, 4], [1, 2, 3]]}, "lists of different lengths: 3 to 4"),
        ({"image": [{"path": "x.png"}]}, "`image` is struct<path: string>"),
        ({"image": [{"bytes": "x"}]}, "`image` is struct<bytes: string>"),
        ({"image": [[1, 2]]}, "2 numbers make no square image"),
        ({"image": [GOOD], "label": [1.5]}, "`label` holds 1.5; labels are whole numbers or strings"),
        (
            {"image": [GOOD], "label": [[0, 1, 1]]},
            "not a single 1 in each row: an image has one class. data.labels=none",
        ),
        ({"image": [GOOD, GOOD], "label": [1, None]}, "`label`: 1 of 2 are missing.*data.labels=none"),
        ({"image": [GOOD, GOOD], "label": [1, -1]}, "labels start at -1"),
    ],
)
def test_other_columns_are_refused(tmp_path: Path, columns: dict[str, list[Any]], message: str) -> None:
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")
    with pytest.raises(DataError, match=message) as caught:
        parquet_file.load(tmp_path / "a.parquet", "train")
    assert "a.parquet" in str(caught.value)


def test_a_label_without_a_name(tmp_path: Path) -> None:
    path = save(tmp_path / "a.parquet", noise(2, 3, 3), [0, 5], ["a", "b"])
    with pytest.raises(DataError, match="labels run from 0 to 5, but there are 2 class names"):
        parquet_file.load(path, "train")


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.99])
def test_a_truncated_file(tmp_path: Path, share: float) -> None:
    path = save(tmp_path / "a.parquet", noise(20, 8, 8), range(20))
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(DataError, match=r"a\.parquet cannot be read"):
        parquet_file.load(path, "train")


def test_damage_within_the_data(tmp_path: Path) -> None:
    path = save(tmp_path / "a.parquet", noise(200, 8, 8), range(200), compression="gzip")
    content = bytearray(path.read_bytes())
    content[200:260] = bytes(60)
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"a\.parquet.* cannot be read"):
        parquet_file.load(path, "train")
