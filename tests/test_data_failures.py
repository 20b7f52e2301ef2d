"""Files that are damaged, and folders that may not be read: one sentence that names them, and nothing left out."""

from __future__ import annotations

import errno
import io
import os
import re
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from data import cache, fetch
from data.files import files_below, is_file, is_folder, reason
from data.image_set import DataError, ImageSet
from data.places import DATA_VARIABLE, search, user_places
from data.reading import Reading
from data.sources import load

PIXELS = np.arange(192, dtype=np.uint8).reshape(3, 8, 8)


def png(i: int = 0) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(PIXELS[i]).save(stream, "PNG")
    return stream.getvalue()


def npy(header: str) -> bytes:
    """A member of an .npz file: the header of an array, and 64 bytes."""
    text = header.encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + bytes(64)


def archive(path: Path, content: bytes) -> None:
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("images.npy", content)


def table(path: Path, names: list[str], columns: list[list[Any]]) -> None:
    pyarrow.parquet.write_table(pa.Table.from_arrays([pa.array(column) for column in columns], names=names), path)


def idx(path: Path, *shape: int) -> None:
    path.write_bytes(struct.pack(f">HBB{len(shape)}I", 0, 8, len(shape), *shape))


DAMAGED: dict[str, tuple[Callable[[Path], object], str]] = {
    "no-array.npz": (lambda path: archive(path, b"no array"), "is damaged: `images` is no array"),
    "huge.npz": (
        lambda path: archive(path, npy("{'descr': '|u1', 'fortran_order': False, 'shape': (9000000000000000,), }")),
        "claims arrays that do not fit into the memory|cannot be read",
    ),
    "encrypted.npz": (
        lambda path: (
            archive(path, npy("")),
            path.write_bytes(path.read_bytes().replace(b"\x14\0\0\0", b"\x14\0\1\0")),
        ),
        "cannot be read",
    ),
    "no-width.npz": (lambda path: np.savez(path, images=PIXELS[:, :, :0]), r"1 channels and 8×0 pixels"),
    "twice.parquet": (
        lambda path: table(path, ["image", "image"], [[png()], [png()]]),
        "has 2 columns named `image`; one is allowed",
    ),
    "labels-twice.parquet": (
        lambda path: table(path, ["image", "label", "label"], [[png()], [1], [1]]),
        "has 2 columns named `label`",
    ),
    "dimensions-idx3-ubyte": (lambda path: idx(path, *[1] * 255), "its header announces 255 dimensions"),
    "no-width-idx3-ubyte": (lambda path: idx(path, 5, 8, 0), "1 channels and 8×0 pixels"),
    "long.csv": (lambda path: path.write_text("label,p\n" + "7" * 5000 + ",1\n"), r"characters\)"),
}


def test_damaged_files_end_with_2_and_a_sentence_that_names_them(tmp_path: Path) -> None:
    wrong = {}
    for name, (write, message) in DAMAGED.items():
        write(tmp_path / name)
        try:
            told = f"nothing: {load(str(tmp_path / name))}"
        except DataError as error:
            told = str(error)
        if (
            not re.search(message, told)
            or str(tmp_path / name) not in told
            or len(told) > 800
            or "_io." in told
            or "\n" in told
        ):
            wrong[name] = told
        result = CliRunner().invoke(fetch.app, [str(tmp_path / name)])
        if result.exit_code != 2 or not isinstance(result.exception, SystemExit):
            wrong[name] = f"exit code {result.exit_code}"
    assert wrong == {}


def test_paths_that_no_system_takes() -> None:
    for path in ("x" * 5000, "/".join(["x" * 200] * 30), f"folder/{'x' * 300}.npz"):
        with pytest.raises(DataError, match=r"neither a data set's name nor a path that exists") as error:
            load(path)
        assert len(str(error.value)) < 600


def test_links_that_lead_nowhere_are_named(tmp_path: Path) -> None:
    (tmp_path / "circle.npz").symlink_to("circle.npz")
    with pytest.raises(DataError, match=r"circle\.npz cannot be read \(Too many levels of symbolic links\)"):
        load(str(tmp_path / "circle.npz"))
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "a.png").write_bytes(png())
    (folder / "gone.png").symlink_to("nothing.png")
    with pytest.raises(DataError, match=r"1 of 2 image files cannot be read(.|\n)*gone\.png \(broken link"):
        load(str(folder))


@pytest.fixture
def deny(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], None]:
    """Forbids, to root as well, to list a folder and to enter it."""

    def forbid(folder: Path) -> None:
        def guarded(call: Callable[..., Any], *, itself: bool) -> Callable[..., Any]:
            def guard(path: Any = ".", *args: Any, **kwargs: Any) -> Any:
                asked = Path(path) if isinstance(path, str | Path) else Path()
                if folder in asked.parents or (itself and asked == folder):
                    raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
                return call(path, *args, **kwargs)

            return guard

        for name in ("listdir", "scandir"):
            monkeypatch.setattr(os, name, guarded(getattr(os, name), itself=True))
        monkeypatch.setattr(os, "stat", guarded(os.stat, itself=False))

    return forbid


def labelled(folder: Path) -> Path:
    for i, name in enumerate(("cats", "cats/small", "dogs")):
        (folder / name).mkdir(parents=True, exist_ok=True)
        (folder / name / f"{i}.png").write_bytes(png(i))
    return folder


@pytest.mark.parametrize("denied", [".", ".."])
def test_a_folder_that_may_not_be_read_is_named(denied: str, tmp_path: Path, deny: Callable[[Path], None]) -> None:
    folder = labelled(tmp_path / "parent" / "pictures")
    assert len(load(str(folder))) == 3
    hidden = Path(os.path.normpath(folder / denied))
    deny(hidden)
    with pytest.raises(DataError, match="Permission denied.*Ask for the right to read") as error:
        load(str(folder))
    assert str(hidden) in str(error.value)


@pytest.mark.parametrize(("denied", "read"), [("cats", 1), ("cats/small", 2)])
def test_folders_within_that_may_not_be_read_are_told_of(
    denied: str, read: int, tmp_path: Path, deny: Callable[[Path], None]
) -> None:
    folder = labelled(tmp_path / "pictures")
    deny(folder / denied)
    images = load(str(folder))
    assert len(images) == read
    assert images.was_read is not None
    assert images.was_read.left_out == ((f"{denied}/", "folder without access"),)
    assert "(1 left out: 1 folder without access)" in images.was_read.line()
    with pytest.raises(DataError, match=f"{denied}/ cannot be looked into"):
        load(str(folder), reading=Reading(unreadable="stop"))


@pytest.mark.parametrize("name", ["a.npz", "a.csv", "train.parquet", "train-images-idx3-ubyte"])
def test_a_file_in_a_folder_that_may_not_be_entered(name: str, tmp_path: Path, deny: Callable[[Path], None]) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / name).write_bytes(b"")
    deny(tmp_path / "in")
    with pytest.raises(DataError, match=f"{name} cannot be read \\(Permission denied\\)"):
        load(str(tmp_path / "in" / name))


def test_a_place_that_may_not_be_looked_into_is_one_of_those_tried(
    tmp_path: Path, deny: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = ImageSet("x", "train", images=torch.zeros(1, 1, 2, 2, dtype=torch.uint8))

    def read(folder: Path) -> ImageSet:
        is_file(folder / "x")
        return found

    (tmp_path / "closed").mkdir()
    deny(tmp_path / "closed")
    attempts = [*user_places(read, tmp_path / "closed", ()), ("elsewhere", lambda: found)]
    assert search("x", attempts, ()) is found
    with pytest.raises(DataError, match=r"--data-root .*closed: it cannot be read \(.*closed/x: Permission denied\)"):
        search("x", attempts[:1], ())
    monkeypatch.setenv(DATA_VARIABLE, "~no-such-user/data")  # nobody's home
    monkeypatch.setenv("DEEP_CLUSTERING_CACHE", "~no-such-user/cache")
    assert next(place for place, _ in user_places(read, None, ())) == f"${DATA_VARIABLE} ~no-such-user/data"
    assert cache.root() == Path("~no-such-user/cache")


def test_what_is_not_there_is_no_file_and_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert [is_file(tmp_path / "file"), is_folder(tmp_path)] == [True, True]
    assert [is_file(tmp_path), is_folder(tmp_path / "file"), is_file(tmp_path / "file" / "below")] == [False] * 3
    assert list(files_below(tmp_path)) == [tmp_path / "file"]


def test_a_reason_is_one_short_line() -> None:
    assert reason(ValueError("two\nlines")) == "two lines"
    assert reason(ValueError()) == "ValueError"
    assert reason(ValueError("x" * 300)) == "x" * 100 + " … (300 characters)"
    error = PermissionError(errno.EACCES, "Permission denied", "/a")
    assert reason(error) == "/a: Permission denied"
    assert reason(error, Path("/a")) == "Permission denied"
