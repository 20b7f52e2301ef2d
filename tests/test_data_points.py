"""Points as data: files of every kind, what is refused, and what stays images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow
import pytest
import torch
from pyarrow import parquet

from data import array_cache
from data.image_set import DataError, ImageSet
from data.reading import Reading, as_before
from data.sources import load

VALUES = np.random.default_rng(0).normal(size=(20, 5)) * 3
LABELS = np.arange(20) % 3
NAMES = np.array([f"cats/{i:02d}.png" for i in range(20)])
POINTS = Reading(kind="points")


def written(folder: Path, kind: str) -> Path:
    file = folder / f"points.{kind.partition(' ')[2] or kind}"
    if kind == "npz":
        np.savez(file, features=VALUES, labels=LABELS, names=NAMES)
    elif kind == "npy":
        np.save(file, VALUES)
        np.save(folder / "points_labels.npy", LABELS)
    elif kind == "lists parquet":
        table = {"id": list(range(20)), "file": NAMES.tolist(), "features": VALUES.tolist(), "label": LABELS}
        parquet.write_table(pyarrow.table(table), file)
    else:
        columns = {f"f{i}": VALUES[:, i] for i in range(5)}
        parquet.write_table(pyarrow.table({"id": list(range(20)), **columns, "label": LABELS, "name": NAMES}), file)
    return file


@pytest.mark.parametrize("kind", ["npz", "npy", "lists parquet", "columns parquet"])
def test_files_of_every_kind_hold_the_same(kind: str, tmp_path: Path) -> None:
    points = load(str(written(tmp_path, kind)))
    assert points.are_points
    assert torch.equal(points.images, torch.from_numpy(VALUES).float()[:, :, None, None])
    assert points.labels is not None
    assert points.labels.tolist() == LABELS.tolist()
    assert points.class_names == ("0", "1", "2")
    assert points.names is not None
    assert list(points.names[:2]) == (["points.npy[0]", "points.npy[1]"] if kind == "npy" else NAMES[:2].tolist())
    assert points.was_read is not None
    assert "read 20 points of 5 numbers of" in points.was_read.line()
    assert as_before(points.was_read.reading()).kind == "points"
    assert load(str(written(tmp_path, kind)), reading=Reading(labels="none")).labels is None


def test_splits_are_told_by_names(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", train_features=VALUES[:12], train_labels=LABELS[:12], test_features=VALUES[12:],
             test_labels=LABELS[12:], class_names=np.array(["x", "y", "z"]))  # fmt: skip
    train, test, both = (load(str(tmp_path / "a.npz"), split) for split in ("train", "test", "all"))
    assert (len(train), len(test)) == (12, 8)
    assert torch.equal(both.images, torch.cat([train.images, test.images]))
    assert both.class_names == ("x", "y", "z")
    with pytest.raises(DataError, match="no validation split"):
        load(str(tmp_path / "a.npz"), "validation")
    np.savez(tmp_path / "b_train.npz", features=VALUES[:12])
    np.savez(tmp_path / "b_test.npz", features=VALUES[12:])
    assert torch.equal(load(str(tmp_path / "b_train.npz"), "test").images, test.images)
    np.save(tmp_path / "c_train.npy", VALUES[:12])
    np.save(tmp_path / "c_test.npy", VALUES[12:])
    assert torch.equal(load(str(tmp_path / "c_train.npy"), "all").images, both.images)
    shards = {"d/train-0.parquet": VALUES[:5], "d/train-1.parquet": VALUES[5:12], "d/test-0.parquet": VALUES[12:]}
    (tmp_path / "d").mkdir()
    for name, part in shards.items():
        parquet.write_table(pyarrow.table({"features": part.tolist()}), tmp_path / name)
    assert torch.equal(load(str(tmp_path / "d"), "all").images, both.images)


def test_rows_that_may_be_images_are_images_unless_points_are_asked_for(tmp_path: Path) -> None:
    rows = np.random.default_rng(0).uniform(size=(6, 16)).astype(np.float32)
    np.save(tmp_path / "rows.npy", rows)
    np.savez(tmp_path / "x.npz", x=rows)
    parquet.write_table(pyarrow.table({"pixels": rows.tolist()}), tmp_path / "p.parquet")
    for name in ("rows.npy", "x.npz", "p.parquet"):
        assert load(str(tmp_path / name)).images.shape == (6, 1, 4, 4)
        points = load(str(tmp_path / name), reading=POINTS)
        assert torch.equal(points.images.flatten(1), torch.from_numpy(rows))
    np.savez(tmp_path / "both.npz", images=np.zeros((6, 4, 4), dtype=np.uint8), features=rows)
    assert not load(str(tmp_path / "both.npz")).are_points


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"features": np.zeros(5)}, r"holds float64 of shape \(5,\)"),
        ({"features": np.array([["a"]])}, "holds <U1"),
        ({"features": np.array([[1.0, np.nan]])}, "NaN, infinite or too large"),
        ({"features": np.array([[1.0, 1e39]])}, "NaN, infinite or too large"),
        ({"features": VALUES, "labels": LABELS[:3]}, "20 points but 3 labels"),
        ({"features": VALUES, "names": NAMES[:3]}, "20 points but 3 names"),
        ({"features": VALUES, "embeddings": VALUES}, "both `features` and `embeddings`"),
        ({"train_features": VALUES, "test_features": VALUES[:, :4]}, "different numbers of dimensions"),
        ({"features": VALUES[:0]}, "holds no images"),
    ],
)
def test_what_is_no_table_of_numbers_is_refused(arrays: dict[str, np.ndarray], said: str, tmp_path: Path) -> None:
    np.savez(tmp_path / "p.npz", **arrays)
    with pytest.raises(DataError, match=said):
        load(str(tmp_path / "p.npz"), "all")


def test_images_and_points_are_told_apart_by_type() -> None:
    with pytest.raises(DataError, match="points float32 of shape"):
        ImageSet("a", "train", torch.zeros(3, 1, 4, 4))
    with pytest.raises(DataError, match="received torch.float64"):
        ImageSet("a", "train", torch.zeros(3, 4, 1, 1, dtype=torch.float64))
    assert not ImageSet("a", "train", torch.zeros(3, 4, 1, 1, dtype=torch.uint8)).are_points


def test_parts_of_many_points_lie_in_files_and_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    points = ImageSet("a", "train", torch.from_numpy(VALUES).float()[:, :, None, None])
    index = torch.arange(19, -1, -1)
    expected = points.subset(index).images
    monkeypatch.setattr(array_cache, "LARGE", 200)
    assert torch.equal(points.subset(index).images, expected)
    assert torch.equal(array_cache.joined([points.images, expected]), torch.cat([points.images, expected]))
