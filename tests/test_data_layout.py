"""What folders mean: splits and classes, on a disk and in archives."""

from __future__ import annotations

import io
import os
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from data.image_set import DataError, ImageSet
from data.layout import arrange
from data.reading import Reading
from data.sources import load


def png(value: int) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.full((8, 8), value, dtype=np.uint8)).save(stream, "PNG")
    return stream.getvalue()


def tree(folder: Path, *names: str) -> Path:
    """Pictures of these names, which show 0, 1, 2 and so on."""
    for i, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png(i))
    return folder


def shown(images: ImageSet) -> list[int]:
    return images.images[:, 0, 0, 0].tolist()


def named(*names: str) -> dict[str, list[str]]:
    """The names of every split."""
    paths = sorted(tuple(name.split("/")) for name in names)
    folders = {path[:depth] for path in paths for depth in range(len(path))}
    splits = arrange(paths, folders, "x").splits
    return {split: ["/".join(paths[i]) for i in members] for split, members in splits.items()}


@pytest.mark.parametrize(
    ("train", "validation", "test"),
    [("train", "val", "test"), ("Training", "Valid", "TESTING"), ("TRAIN", "validation", "Test")],
)
def test_splits_by_their_usual_names(tmp_path: Path, train: str, validation: str, test: str) -> None:
    tree(tmp_path, f"{train}/a/1.png", f"{train}/b/1.png", f"{validation}/b/1.png", f"{test}/a/1.png")
    assert shown(load(str(tmp_path))) == [0, 1]
    assert shown(load(str(tmp_path), "validation")) == [2]
    assert shown(load(str(tmp_path), "test")) == [3]
    everything = load(str(tmp_path), "all")
    assert shown(everything) == [0, 1, 2, 3]
    assert everything.labels is not None
    assert (everything.labels.tolist(), everything.class_names) == ([0, 1, 1, 0], ("a", "b"))
    assert everything.was_read is not None
    assert everything.was_read.notes[0] == "2 in train, 1 in validation, 1 in test"
    assert (f"{validation}/ is the split validation" in everything.was_read.notes) == (validation != "validation")


def test_which_folders_are_splits() -> None:
    split = {"train": ["train/1"], "validation": ["val/1"]}
    assert named("train/1", "val/1") == split
    # One level down, also where the folder around it is in another one.
    assert named("data/train/1", "data/test/1") == {"train": ["data/train/1"], "test": ["data/test/1"]}
    assert named("x/data/train/1", "x/data/test/1").keys() == {"train", "test"}
    # What lies beside them is in no split but all.
    assert named("train/1", "test/1", "extra/2", "3") == {
        "train": ["train/1"],
        "test": ["test/1"],
        "other": ["3", "extra/2"],
    }
    assert named("train/1") == {"train": ["train/1"]}
    assert named("val/1", "test/1") == {"validation": ["val/1"], "test": ["test/1"]}
    # A class may be called train, or test.
    assert named("plane/1", "train/1") == {"train": ["plane/1", "train/1"]}
    assert named("good/1", "test/1") == {"train": ["good/1", "test/1"]}


def test_what_lies_beside_splits_is_told(tmp_path: Path) -> None:
    tree(tmp_path, "train/1.png", "test/1.png", "extra/1.png", "0.png")
    everything = load(str(tmp_path), "all")
    assert list(everything.names or ()) == ["train/1.png", "test/1.png", "0.png", "extra/1.png"]
    assert everything.was_read is not None
    assert "extra/, images beside test/ and train/ (2 images) are in no split but all" in everything.was_read.notes


def test_a_folder_around_all_says_nothing(tmp_path: Path) -> None:
    assert load(str(tree(tmp_path / "a", "photos/1.png", "photos/2.png"))).labels is None
    assert load(str(tree(tmp_path / "b", "photos/cat/1.png", "photos/dog/1.png"))).class_names == ("cat", "dog")
    assert load(str(tree(tmp_path / "c", "cat/1.png", "cat/small/2.png"))).class_names == ("cat",)


def test_albums_are_taken_whole_without_labels(tmp_path: Path) -> None:
    tree(tmp_path, "1.png", "album/2.png", "album/deep/3.png")
    with pytest.raises(DataError, match=r"1 images itself .1\.png, ….*2 in sub-folders.*data\.labels=none"):
        load(str(tmp_path))
    images = load(str(tmp_path), reading=Reading(labels="none"))
    assert list(images.names or ()) == ["1.png", "album/2.png", "album/deep/3.png"]
    assert images.labels is None


def test_a_split_without_classes_takes_them_from_all_and_says_so(tmp_path: Path) -> None:
    tree(tmp_path, "train/a/1.png", "test/2.png")
    everything = load(str(tmp_path), "all")
    assert everything.labels is None
    assert everything.was_read is not None
    assert everything.was_read.notes[-1] == "1 of 2 images have no class, so that none is given a label"


def test_links_are_followed_once(tmp_path: Path) -> None:
    tree(tmp_path / "outside", "1.png")
    folder = tree(tmp_path / "in", "cat/2.png", "dog/3.png")
    os.symlink(tmp_path / "outside", folder / "bird")
    os.symlink("cat", folder / "also-cat")
    os.symlink("..", folder / "dog" / "up")
    os.symlink(tmp_path, folder / "above")
    images = load(str(folder))
    assert list(images.names or ()) == ["bird/1.png", "cat/2.png", "dog/3.png"]
    assert images.class_names == ("bird", "cat", "dog")
    assert images.was_read is not None
    assert len(images.was_read.notes) == 3
    assert all("is passed over: a link leads to a folder that is read already" in n for n in images.was_read.notes)


def test_tables_beside_pictures_are_no_set(tmp_path: Path) -> None:
    tree(tmp_path, "1.png", "2.png")
    (tmp_path / "metadata.parquet").write_bytes(b"PAR1")
    (tmp_path / "labels.csv").write_text("file,label\n")
    images = load(str(tmp_path))
    assert shown(images) == [0, 1]
    assert images.was_read is not None
    assert images.was_read.notes == ("passed over: 1 .csv, 1 .parquet",)


def zipped(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as file:
        for name, content in members.items():
            file.writestr(name, content)
    return path


def tarred(path: Path, members: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w:gz" if path.suffix.lower() in (".gz", ".tgz") else "w") as file:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            file.addfile(info, io.BytesIO(content))
    return path


@pytest.mark.parametrize("name", ["photos.zip", "photos.tar", "photos.tar.gz", "photos.TGZ"])
def test_archives_are_read_as_what_they_unpack_to(tmp_path: Path, name: str) -> None:
    write = zipped if name.endswith("zip") else tarred
    members = {f"p/{kind}/{i}.png": png(i) for i, kind in enumerate(["cat", "dog"])}
    path = write(tmp_path / name, {**members, "__MACOSX/p/._0.png": b"x", "p/notes.txt": b"x"})
    images = load(str(path))
    assert shown(images) == [0, 1]
    assert images.class_names == ("cat", "dog")
    assert list(images.names or ()) == [f"{name}/p/cat/0.png", f"{name}/p/dog/1.png"]
    assert images.was_read is not None
    assert images.was_read.notes == ("passed over: 1 .txt",)


def test_shards_of_webdataset_have_classes_beside_the_pictures(tmp_path: Path) -> None:
    for shard, split in enumerate(["train", "train", "val"]):
        members = {}
        for i in range(3):
            members[f"{shard}{i}.png"] = png(10 * shard + i)
            members[f"{shard}{i}.cls"] = str((shard + i) % 3).encode()
        tarred(tmp_path / f"{split}-{shard:03}.tar", members)
    train, validation = load(str(tmp_path)), load(str(tmp_path), "validation")
    assert (shown(train), shown(validation)) == ([0, 1, 2, 10, 11, 12], [20, 21, 22])
    assert train.labels is not None
    assert train.labels.tolist() == [0, 1, 2, 1, 2, 0]
    assert train.class_names == ("0", "1", "2")
    assert next(iter(validation.names or ())) == "val-002.tar/20.png"


def test_damaged_archives(tmp_path: Path) -> None:
    for name in ("a.zip", "a.tar", "a.tar.gz"):
        (tmp_path / name).write_bytes(b"nothing of the kind" * 100)
        with pytest.raises(DataError, match=f"{name} cannot be read"):
            load(str(tmp_path / name))
    with pytest.raises(DataError, match=r"holds no images, but 1 \.txt"):
        load(str(zipped(tmp_path / "b.zip", {"x.txt": b""})))
