import gzip
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from data import csv_file, sources
from data.image_set import DataError

generator = np.random.default_rng(0)


def pixels(n: int, side: int = 3) -> np.ndarray:
    return generator.integers(0, 256, (n, side * side), dtype=np.uint8)


def text(rows: np.ndarray, labels: Sequence[int] | None = None, header: bool = True) -> str:
    """The file's text, written value by value."""
    names = [*(["label"] if labels is not None else []), *(f"pixel{i + 1}" for i in range(rows.shape[1]))]
    lines = [",".join(names)] if header else []
    for i, row in enumerate(rows.tolist()):
        lines.append(",".join(str(value) for value in ([labels[i]] if labels is not None else []) + row))
    return "\n".join(lines) + "\n"


def save(path: Path, content: str) -> Path:
    path.write_bytes(gzip.compress(content.encode()) if path.suffix == ".gz" else content.encode())
    return path


def labels_of(path: Path, split: str = "train") -> list[int]:
    labels = csv_file.load(path, split).labels
    assert labels is not None
    return labels.tolist()


@pytest.mark.parametrize("name", ["set.csv", "set.csv.gz", "SET.CSV"])
@pytest.mark.parametrize("header", [True, False])
def test_kaggles_layout(tmp_path: Path, name: str, header: bool) -> None:
    rows = pixels(4, side=28)
    path = save(tmp_path / name, text(rows, [9, 0, 3, 9], header))
    images = sources.load(str(path))
    assert images.images.shape == (4, 1, 28, 28)
    assert (images.images.numpy().reshape(4, 784) == rows).all()
    assert images.images[1, 0, 2, 5] == rows[1, 2 * 28 + 5]
    assert images.labels is not None
    assert images.labels.tolist() == [2, 0, 1, 2]
    assert images.class_names == ("0", "3", "9")
    assert (images.name, images.split) == (str(path), "train")


@pytest.mark.parametrize("header", [True, False])
def test_without_a_label_column_there_are_no_labels(tmp_path: Path, header: bool) -> None:
    rows = pixels(2)
    images = csv_file.load(save(tmp_path / "a.csv", text(rows, None, header)), "all")
    assert images.labels is None
    assert images.images.flatten().tolist() == rows.flatten().tolist()
    assert images.split == "all"


def test_the_label_is_found_by_its_name(tmp_path: Path) -> None:
    images = csv_file.load(save(tmp_path / "a.csv", "a,b,Label,c,d\n1,2,70,3,4\n5,6,71,7,8\n"), "train")
    assert images.images.flatten(1).tolist() == [[1, 2, 3, 4], [5, 6, 7, 8]]
    assert images.class_names == ("70", "71")


def test_windows_line_ends_quotes_blank_lines_and_a_byte_order_mark(tmp_path: Path) -> None:
    path = save(tmp_path / "a.csv", '\ufeff\r\n"label","p1"\r\n"4",10\r\n\r\n5,"20"\r\n')
    assert csv_file.load(path, "train").images.flatten().tolist() == [10, 20]
    assert labels_of(path) == [0, 1]


def test_the_test_split_lies_beside_the_train_split(tmp_path: Path) -> None:
    train, test = pixels(3), pixels(2)
    path = save(tmp_path / "fashion-mnist_train.csv", text(train, [1, 2, 1]))
    beside = save(tmp_path / "fashion-mnist_test.csv", text(test, [7, 2], header=False))
    assert (csv_file.load(path, "train").images.numpy().reshape(3, 9) == train).all()
    assert (csv_file.load(path, "test").images.numpy().reshape(2, 9) == test).all()
    everything = csv_file.load(path, "all")
    assert (everything.images.numpy().reshape(5, 9) == np.concatenate([train, test])).all()
    assert everything.class_names == ("1", "2", "7")
    # A class has one number in all splits, though neither file has all classes.
    assert labels_of(path, "train") == [0, 1, 0]
    assert labels_of(path, "test") == [2, 1]
    assert labels_of(path, "all") == [0, 1, 0, 2, 1]
    # Named itself, the test file is a set of its own.
    assert csv_file.load(beside, "train").class_names == ("2", "7")
    with pytest.raises(DataError, match="no test split"):
        csv_file.load(beside, "test")


def test_a_test_file_without_labels(tmp_path: Path) -> None:
    path = save(tmp_path / "train.csv", text(pixels(2), [4, 5]))
    save(tmp_path / "test.csv", text(pixels(3)))
    assert labels_of(path) == [0, 1]
    assert csv_file.load(path, "test").labels is None
    assert csv_file.load(path, "all").labels is None


@pytest.mark.parametrize("name", ["set.csv", "train.csv"])
def test_there_is_no_test_split_without_a_file(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match=f"{name} has no test split.*beside it whose name has .test. in place of"):
        csv_file.load(save(tmp_path / name, text(pixels(2))), "test")


def test_splits_of_different_size_are_not_joined(tmp_path: Path) -> None:
    path = save(tmp_path / "train.csv", text(pixels(2, side=2)))
    save(tmp_path / "test.csv", text(pixels(2, side=3)))
    with pytest.raises(DataError, match=r"test.csv has images of shape .1, 3, 3.*train.csv has .1, 2, 2."):
        csv_file.load(path, "all")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is empty"),
        ("\n\n", "is empty"),
        ("label,pixel1\n", "holds no images"),
        ("1,2,3\n", "3 columns, none of them the label; 3 pixels make no square image"),
        ("label,p1,p2\n1,2,3\n", "3 columns, one of them the label; 2 pixels make no square"),
        ("a,b,p1,p2,p3,p4\n0,2,3,4,5,6\n", "6 columns, none of them the label; 6 pixels"),
        ("label\n1\n", "0 pixels make no square"),
        ("label,label,p\n1,2,3\n", "2 columns named `label`"),
        ("label,p\n1,2\n1,2,3\n", "Row #3: Expected 2 columns, got 3"),
        ("label,p\n1,2\n1\n", "Row #3: Expected 2 columns, got 1"),
        ("label,p\n1,2\n1,x\n", "Row #3: .*uint8: invalid value 'x'"),
        ("1,2,x,3\n1,2,3,4\n", "Row #1: .*uint8: invalid value 'x'"),  # no header that hides an image
        ("1,2,,3\n1,2,3,4\n", "Row #1: .*uint8: invalid value ''"),
        ("label,p\n1,256\n", "a.csv holds numbers from 256 to 256, which are neither 8 bits nor 10"),
        ("label,p\n1,-1\n", "a.csv holds numbers from -1 to -1"),
        ("label,p\n1,5.5\n", "a.csv holds numbers from 5.5 to 5.5"),
        ("label,p\n1,0.5\n2,0.x\n", "Row #3: .*float: invalid value '0.x'"),
        ("label,p\n1,\n", "uint8: invalid value ''"),
        ("label,p\n1,NA\n", "uint8: invalid value 'NA'"),
        ("label,p\n,1\n", "image 0 has no label, but ''. data.labels=none"),
        ("label,p\n1.5,1\n", "the label holds 1.5; labels are whole numbers or strings"),
        ("label,class,p\n1,2,3\n", "the columns `label`, `class`, and one can be the label"),
        ("label,p\n-1,1\n", "labels start at -1"),
        ("0,5;0,25;1;3\n", "a.csv holds numbers from 0.25 to 3"),  # decimal commas
    ],
)
def test_other_contents_are_refused(tmp_path: Path, content: str, message: str) -> None:
    path = save(tmp_path / "a.csv", content)
    with pytest.raises(DataError, match=message) as caught:
        csv_file.load(path, "train")
    assert str(path) in str(caught.value)


def test_a_truncated_file(tmp_path: Path) -> None:
    content = text(pixels(5), [0, 1, 2, 3, 4])
    path = save(tmp_path / "a.csv", content[: -len(content.splitlines()[-1]) // 2])
    with pytest.raises(DataError, match="Row #6: Expected 10 columns, got [2-9]"):
        csv_file.load(path, "train")


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_a_truncated_gzip_file(tmp_path: Path, share: float) -> None:
    packed = gzip.compress(text(pixels(200), range(200)).encode())
    path = tmp_path / "a.csv.gz"
    path.write_bytes(packed[: int(share * len(packed))])
    with pytest.raises(DataError, match=r"a\.csv\.gz cannot be read"):
        csv_file.load(path, "train")


def test_what_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"\x89PNG\r\n\x1a\n\xff\xfe\0\0")
    with pytest.raises(DataError, match=r"a\.csv cannot be read"):
        csv_file.load(path, "train")
    save(tmp_path / "b.csv", text(pixels(2))).rename(tmp_path / "b.csv.gz")
    with pytest.raises(DataError, match=r"b\.csv\.gz cannot be read"):
        csv_file.load(tmp_path / "b.csv.gz", "train")


def test_damage_of_the_file_beside_is_told(tmp_path: Path) -> None:
    path = save(tmp_path / "train.csv", text(pixels(2), [4, 5]))
    save(tmp_path / "test.csv", "label,p1\n3,x\n")
    with pytest.raises(DataError, match=r"test\.csv cannot be read .*'x'"):
        csv_file.load(path, "train")


def test_rows_longer_than_a_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_file, "BLOCK_BYTES", 100)
    rows = np.full((3, 784), 255, dtype=np.uint8)
    assert (csv_file.load(save(tmp_path / "a.csv", text(rows)), "train").images == 255).all()
