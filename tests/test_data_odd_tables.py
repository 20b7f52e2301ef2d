"""Tables as spreadsheets, pandas and Kaggle write them, with the images that they hold."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from data import csv_file, sources
from data.image_set import DataError, ImageSet
from data.reading import Reading

generator = np.random.default_rng(0)
ROWS = generator.integers(0, 256, (12, 16), dtype=np.uint8)
LABELS = [3, 5, 3, 9, 9, 5, 3, 3, 5, 9, 9, 5]
PIXELS = [f"pixel{i}" for i in range(16)]


def save(path: Path, rows: Sequence[Sequence[object]], mark: str = ",") -> Path:
    text = io.StringIO()
    csv.writer(text, delimiter=mark).writerows(rows)
    path.write_text(text.getvalue())
    return path


def with_first(first: Sequence[object], rows: np.ndarray = ROWS) -> list[list[object]]:
    return [[value, *row] for value, row in zip(first, rows.tolist(), strict=True)]


def check(path: Path, labels: Sequence[object] | None, rows: np.ndarray = ROWS) -> ImageSet:
    images = csv_file.load(path, "train")
    side = int(rows.shape[1] ** 0.5)
    assert (images.images.numpy() == rows.reshape(-1, 1, side, side)).all()
    found = None if images.labels is None else [images.class_names[i] for i in images.labels.tolist()]
    assert found == (None if labels is None else [str(label) for label in labels])
    return images


def notes(images: ImageSet) -> str:
    assert images.was_read is not None
    return "; ".join(images.was_read.notes)


def test_the_numbers_that_pandas_writes_for_columns_without_names_are_no_image(tmp_path: Path) -> None:
    check(save(tmp_path / "a.csv", [range(16), *ROWS.tolist()]), None)
    check(save(tmp_path / "b.csv", [range(1, 17), *ROWS.tolist()]), None)
    check(save(tmp_path / "c.csv", [range(17), *with_first(LABELS)]), LABELS)
    check(save(tmp_path / "d.csv", [["", *range(16)], *with_first(range(12))]), None)
    check(save(tmp_path / "e.csv", [["label", *range(16)], *with_first(LABELS)]), LABELS)
    indexed = [[i, *row] for i, row in enumerate(with_first(LABELS))]
    check(save(tmp_path / "f.csv", [["", "label", *range(16)], *indexed]), LABELS)
    check(save(tmp_path / "g.csv", [["Unnamed: 0", "label", *PIXELS], *indexed]), LABELS)
    check(save(tmp_path / "h.csv", [["", *range(17)], *indexed]), LABELS)


def test_the_names_that_pandas_makes_of_a_first_image_are_no_image(tmp_path: Path) -> None:
    names = ["7", "0", *(f"0.{i}" for i in range(1, 14)), "12", "12.1"]
    check(save(tmp_path / "a.csv", [names, *with_first(LABELS)]), LABELS)


def test_an_index_without_a_header(tmp_path: Path) -> None:
    images = check(save(tmp_path / "a.csv", with_first(range(12))), None)
    assert "the first column counts the rows and was not read" in notes(images)
    check(save(tmp_path / "b.csv", [[i, *row] for i, row in enumerate(with_first(LABELS), 1)]), LABELS)


def test_an_index_in_another_order_is_told_by_its_name(tmp_path: Path) -> None:
    shuffled = generator.permutation(1000)[:12].tolist()
    rows = [[i, *row] for i, row in zip(shuffled, with_first(LABELS), strict=True)]
    check(save(tmp_path / "a.csv", [["", "label", *PIXELS], *rows]), LABELS)
    check(save(tmp_path / "b.csv", [["id", "label", *PIXELS], *rows]), LABELS)


@pytest.mark.parametrize("mark", [";", "\t", "|", " "])
def test_other_separators(tmp_path: Path, mark: str) -> None:
    check(save(tmp_path / "a.csv", [["label", *PIXELS], *with_first(LABELS)], mark), LABELS)
    check(save(tmp_path / "b.csv", with_first(LABELS), mark), LABELS)


def test_numbers_with_fractions_and_decimal_commas(tmp_path: Path) -> None:
    floats = [[f"{label}.0", *(f"{value}.0" for value in row)] for label, row in zip(LABELS, ROWS, strict=True)]
    check(save(tmp_path / "a.csv", [["label", *PIXELS], *floats]), LABELS)
    commas = [[str(field).replace(".", ",") for field in row[1:]] for row in floats]
    check(save(tmp_path / "b.csv", [PIXELS, *commas], ";"), None)
    shares = [[f"{value / 255:.6f}" for value in row] for row in ROWS]
    assert "from 0 to 1 were scaled" in notes(check(save(tmp_path / "c.csv", [PIXELS, *shares]), None))
    # np.savetxt
    np.savetxt(tmp_path / "d.csv", ROWS)
    check(tmp_path / "d.csv", None)


def test_fractions_that_begin_late(tmp_path: Path) -> None:
    rows = np.repeat(ROWS, 20, axis=0)
    text = rows.astype(str).tolist()
    text[-1] = [f"{value}.0" for value in text[-1]]
    check(save(tmp_path / "a.csv", [PIXELS, *text]), None, rows)


@pytest.mark.parametrize("name", ["label", "Labels", "class", "target", "y", "category", "digit", "what is it"])
@pytest.mark.parametrize("place", [0, 5, 16])
def test_the_label_under_any_name_and_in_any_place(tmp_path: Path, name: str, place: int) -> None:
    kinds = ["cat" if label == 3 else "dog, small" for label in LABELS]
    rows = [[*row[:place], kind, *row[place:]] for row, kind in zip(ROWS.tolist(), kinds, strict=True)]
    header = [*PIXELS[:place], name, *PIXELS[place:]]
    check(save(tmp_path / "a.csv", [header, *rows]), kinds)


def test_without_labels_any_columns_of_that_name_are_passed_over(tmp_path: Path) -> None:
    rows = [[label, "x", *row] for label, row in zip(LABELS, ROWS.tolist(), strict=True)]
    path = save(tmp_path / "a.csv", [["label", "class", *PIXELS], *rows])
    with pytest.raises(DataError, match="the columns `label`, `class`, and one can be the label.*data.labels=none"):
        csv_file.load(path, "train")
    images = csv_file.load(path, "train", Reading(labels="none"))
    assert (images.images.numpy().reshape(-1, 16) == ROWS).all()
    assert images.labels is None
    named = save(tmp_path / "b.csv", [["label", *PIXELS], *with_first(["NA"] * 12)])
    assert csv_file.load(named, "train", Reading(labels="none")).labels is None


def test_labels_that_are_text_make_no_header_of_an_image(tmp_path: Path) -> None:
    kinds = ["cat" if label == 3 else "dog" for label in LABELS]
    check(save(tmp_path / "first.csv", with_first(kinds)), kinds)
    last = [[*row, kind] for row, kind in zip(ROWS.tolist(), kinds, strict=True)]
    check(save(tmp_path / "last.csv", last), kinds)


def test_a_label_in_the_last_column_without_a_header(tmp_path: Path) -> None:
    labels = [0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2]
    rows = ROWS.copy()
    rows[:, 0] = 0  # the corner of a digit
    last = [[*row, label] for row, label in zip(rows.tolist(), labels, strict=True)]
    images = check(save(tmp_path / "a.csv", last), labels, rows)
    assert "the label was taken from the last column" in notes(images)
    rows[:, 0] = np.arange(12) % 2
    both = [[*row, label] for row, label in zip(rows.tolist(), labels, strict=True)]
    with pytest.raises(
        DataError, match=r"both\.csv: the first and the last column may both be the label. Put a header"
    ):
        csv_file.load(save(tmp_path / "both.csv", both), "train")


def test_colour(tmp_path: Path) -> None:
    slope = np.arange(8) * 8
    grey = slope[:, None] + slope[None, :]
    picture = np.stack([grey + 100, grey + 40, 120 - grey], axis=2).astype(np.uint8)
    table = [[f"pixel{i:04}" for i in range(192)] + ["label"], *([*picture.ravel(), i % 3] for i in range(6))]
    images = csv_file.load(save(tmp_path / "a.csv", table), "train")
    assert (images.images[3].permute(1, 2, 0).numpy() == picture).all()
    assert images.class_names == ("0", "1", "2")
    assert "red, green and blue of a pixel side by side" in notes(images)


@pytest.mark.parametrize(
    ("train", "test"),
    [("mnist_train.csv", "mnist_test.csv"), ("Train.csv", "Test.csv"), ("x-training.csv", "x-testing.csv.gz")],
)
def test_files_side_by_side(tmp_path: Path, train: str, test: str) -> None:
    import gzip

    path = save(tmp_path / train, [["label", *PIXELS], *with_first(LABELS)])
    beside = save(tmp_path / test, [PIXELS, *ROWS[:5].tolist()])
    if test.endswith(".gz"):
        beside.write_bytes(gzip.compress(beside.read_bytes()))
    save(tmp_path / "sample_submission.csv", [["id", "label"], [1, 0]])
    assert len(sources.load(str(path), "test")) == 5
    everything = sources.load(str(path), "all")
    assert everything.labels is None
    assert "test has no labels, so all has none" in notes(everything)
    assert everything.names is not None
    assert [everything.names[11], everything.names[12]] == [f"{train}[11]", f"{test}[0]"]
    assert len(sources.load(str(beside), "all")) == 5


def test_a_split_that_is_not_there_is_no_error_of_all(tmp_path: Path) -> None:
    assert len(csv_file.load(save(tmp_path / "train.csv", [PIXELS, *ROWS.tolist()]), "all")) == 12


def test_a_row_that_is_missing_a_label_is_named(tmp_path: Path) -> None:
    rows = with_first(LABELS)
    rows[7][0] = "NA"
    with pytest.raises(DataError, match=r"a\.csv: image 7 has no label, but 'NA'. data.labels=none reads"):
        csv_file.load(save(tmp_path / "a.csv", [["label", *PIXELS], *rows]), "train")
