"""Folders of clusters: what lies where, and what is left alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image

from data.image_set import ImageSet
from data.names import Names
from evaluation.predictions import EvaluationError
from report import sorting
from report.answers import Answers
from report.sorting import apart, sort_into

FILES = ("a/x.png", "b/x.png", "b/X.PNG", "y.png", "b/z.png")
CLUSTERS = torch.tensor([0, 0, 0, 1, -1])


def pictures(folder: Path) -> ImageSet:
    images = torch.arange(5, dtype=torch.uint8).view(5, 1, 1, 1).expand(5, 3, 4, 4).contiguous()
    for name, image in zip(FILES, images, strict=True):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image.permute(1, 2, 0).numpy()).save(folder / name)
    return ImageSet("pictures", "all", images, origin=str(folder), names=Names.of(FILES))


def tree(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir())


def test_links_by_cluster_with_equal_names_apart(tmp_path: Path) -> None:
    images = pictures(tmp_path / "in")
    assert sort_into(tmp_path / "out", Answers(FILES, CLUSTERS), images, {0: "odd: one"}, copy=False) == 5
    assert tree(tmp_path / "out") == [
        "00 odd- one/a - x.png", "00 odd- one/b - X (2).PNG", "00 odd- one/b - x.png", "01/y.png", "noise/z.png",
    ]  # fmt: skip
    link = tmp_path / "out" / "00 odd- one" / "b - x.png"
    assert link.is_symlink()
    assert link.resolve() == (tmp_path / "in" / "b" / "x.png").resolve()
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_copies_are_files_of_their_own(tmp_path: Path) -> None:
    images = pictures(tmp_path / "in")
    (tmp_path / "out").mkdir()  # an empty folder is fine
    sort_into(tmp_path / "out", Answers(FILES, CLUSTERS), images, {}, copy=True)
    copy = tmp_path / "out" / "01" / "y.png"
    assert not copy.is_symlink()
    assert copy.read_bytes() == (tmp_path / "in" / "y.png").read_bytes()


def test_rows_of_a_table_become_pictures(tmp_path: Path) -> None:
    images = replace(pictures(tmp_path / "in"), origin="table.npz", names=Names.rows("table.npz", 5))
    assert images.names is not None
    sort_into(tmp_path / "out", Answers(images.names, CLUSTERS), images, {}, copy=False)
    with Image.open(tmp_path / "out" / "01" / "table.npz[3].png") as picture:
        assert picture.getpixel((0, 0)) == (3, 3, 3)


def test_a_folder_that_is_not_empty_is_refused(tmp_path: Path) -> None:
    images = pictures(tmp_path / "in")
    with pytest.raises(EvaluationError, match=r"in is not empty: it holds a\."):
        sort_into(tmp_path / "in", Answers(FILES, CLUSTERS), images, {}, copy=False)
    assert tree(tmp_path / "in") == sorted(FILES)


@pytest.mark.parametrize("failure", [KeyboardInterrupt, OSError(28, "No space left on device")])
def test_what_is_interrupted_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failure: BaseException | type[BaseException]
) -> None:
    images = pictures(tmp_path / "in")
    done: list[Path] = []

    def put(place: Path, *args: object) -> None:
        if len(done) == 3:
            raise failure
        place.touch()
        done.append(place)

    monkeypatch.setattr(sorting, "put", put)
    with pytest.raises((KeyboardInterrupt, EvaluationError)):
        sort_into(tmp_path / "out", Answers(FILES, CLUSTERS), images, {}, copy=False)
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_names_differ_in_more_than_large_and_small_letters() -> None:
    files = ["a/x.png", "A/x.png", "a - x.png", "x.png"]
    found = apart([0] * 4, files)
    assert len({name.casefold() for name in found}) == 4
    assert apart([0, 1], ["a/x.png", "b/x.png"]) == ["x.png", "x.png"]
