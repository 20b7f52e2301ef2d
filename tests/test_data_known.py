"""What is known of some images: drawn, or read from a file; and what is said of files that cannot be."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from data.image_set import DataError, ImageSet
from data.known import KnownLabels, KnownPairs, draw_known, known_labels, labels_by_position, same_knowledge
from data.known_file import check_there, read_known
from data.names import Names
from data.sources import load

N = 8
FILES = ("cats/a.png", "cats/b.png", "cats/\udce9.png", "dogs/a.png", "dogs/b.png", "dogs/c, d.png", "x.png", "y.png")
PIXELS = torch.arange(N, dtype=torch.uint8).view(N, 1, 1, 1).expand(N, 1, 2, 2).contiguous()
PICTURES = ImageSet("pictures", "all", PIXELS, names=Names.of(FILES))
NAMELESS = ImageSet("images", "train", PIXELS)


def read(tmp_path: Path, text: str, images: ImageSet = PICTURES, clusters: int = 3) -> KnownLabels | KnownPairs:
    file = tmp_path / "known.csv"
    file.write_bytes(text.encode("utf-8", "surrogateescape"))
    found = read_known(str(file), images, clusters, 0)
    assert isinstance(found, KnownLabels | KnownPairs)
    return found


def labels(found: KnownLabels | KnownPairs) -> dict[int, str]:
    assert isinstance(found, KnownLabels)
    return {i: found.names[c] for i, c in zip(found.images.tolist(), found.classes.tolist(), strict=True)}


def test_labels_by_file(tmp_path: Path) -> None:
    text = 'file,label\ncats/b.png,cat\n"dogs/c, d.png",dog\ncats/\udce9.png,cat\n'
    assert labels(read(tmp_path, text)) == {1: "cat", 2: "cat", 5: "dog"}


def test_a_table_of_predict_with_labels_for_a_few(tmp_path: Path) -> None:
    """Its other columns are not looked at, nor are lines without a label; a spreadsheet may write semicolons."""
    text = "file,cluster,label,probability\ncats/a.png,0,cat,0.9\ncats/b.png,2,,0.8\nx.png,1, dog ,\n\ny.png,1\n"
    assert labels(read(tmp_path, text)) == {0: "cat", 6: "dog"}
    assert labels(read(tmp_path, "\ufeff" + text.replace(",", ";"))) == {0: "cat", 6: "dog"}


def test_labels_by_index(tmp_path: Path) -> None:
    text = "index,label\n7,1\n0,0\n7,1\n"
    for images in (PICTURES, NAMELESS):
        assert labels(read(tmp_path, text, images)) == {0: "0", 7: "1"}
        assert labels(read(tmp_path, "label, index\n1, 7\n0, 0\n", images)) == {0: "0", 7: "1"}
    # predict.py writes positions where images have no names.
    assert labels(read(tmp_path, text.replace("index", "file"), NAMELESS)) == {0: "0", 7: "1"}


def test_positions_as_programs_write_columns_with_gaps(tmp_path: Path) -> None:
    assert labels(read(tmp_path, "index,label\n7.0,b\n 0,a\n")) == {0: "a", 7: "b"}
    assert labels(read(tmp_path, "index;label\n7,0;b\n0,00;a\n")) == {0: "a", 7: "b"}
    pairs = read(tmp_path, "first,second,link\n1.0,0.0,must\n")
    assert isinstance(pairs, KnownPairs)
    assert (pairs.first.tolist(), pairs.second.tolist()) == ([0], [1])


@pytest.mark.parametrize(
    ("file", "position"),
    [
        ("dogs\\b.png", 4),
        (" dogs/b.png ", 4),
        ("./dogs/b.png", 4),
        ("C:\\Users\\me\\pictures\\dogs\\b.png", 4),
        ("pictures/x.png", 6),
        ("c, d.png", 5),  # one image alone ends so
        ("a.png", None),  # two do
        ("birds/x.png", None),  # a folder that is not there
        ("/else/x.png", None),
    ],
)
def test_files_by_paths_as_people_have_them(tmp_path: Path, file: str, position: int | None) -> None:
    text = f'file,label\n"{file}",a\ny.png,b\n'
    if position is not None:
        assert labels(read(tmp_path, text)) == {position: "a", 7: "b"}
        return
    with pytest.raises(DataError, match=r"not among .*\(line 2\)"):
        read(tmp_path, text)


def test_files_as_spreadsheets_of_windows_write_them(tmp_path: Path) -> None:
    text = "file;label\r\nx.png;Grün\r\ny.png;b\r\n"
    for encoding in ("utf-8-sig", "cp1252", "utf-16"):
        (tmp_path / "known.csv").write_bytes(text.encode(encoding))
        found = read_known(str(tmp_path / "known.csv"), PICTURES, 3, 0)
        assert isinstance(found, KnownLabels)
        assert labels(found) == {6: "Grün", 7: "b"}


def test_a_byte_that_is_no_utf8_is_found_as_a_gallery_writes_it(tmp_path: Path) -> None:
    assert labels(read(tmp_path, "file,label\ncats/\\xe9.png,cat\nx.png,dog\n")) == {2: "cat", 6: "dog"}


def test_pairs_by_file_and_by_index(tmp_path: Path) -> None:
    by_file = read(tmp_path, "first,second,link\ncats/a.png,cats/b.png,must\ndogs/a.png,cats/b.png,Cannot\n")
    by_index = read(tmp_path, "first,second,link\n0,1,must\n1,0,must\n3,1,cannot\n")
    spaced = read(tmp_path, "first, second, link\n0, 1, must\n3, 1, cannot\n")
    for found in (by_file, by_index, spaced):
        assert isinstance(found, KnownPairs)
        assert (found.first.tolist(), found.second.tolist()) == ([0, 1], [1, 3])
        assert found.must.tolist() == [True, False]
        assert found.images.tolist() == [0, 1, 3]
    assert same_knowledge(by_file.state(), by_index)
    assert by_file.note(N) == "links of 3 of 8 images known: 1 must, 1 cannot"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty"),
        ("file,label\n", "a first line and no other"),
        ("file,label,label\nx.png,a,b\n", "has 2 columns called label"),
        ("PK\x03\x04", "is a spreadsheet or an archive: save it as CSV"),
        ("file,class\nx.png,cat\n", "has the columns class, file. It is a CSV file with the columns file and label"),
        ("file,label\nx.png,\ny.png, \n", "no label at all"),
        ("file,label\nx.png,cat\ny.png,cat\n", "only the class cat"),
        ("file,label\nz.png,cat\ny.png,dog\n", r"not among the 8 training images .*'z.png' \(line 2\)"),
        ("file,label\nx.png,cat\nx.png,dog\n", "line 3: 'x.png' is 'dog' here and 'cat' above"),
        (
            "file,label\nx.png,a\ny.png,b\ncats/a.png,c\ncats/b.png,d\n",
            "4 classes, and 3 clusters.*ask for 4 clusters",
        ),
        ("index,label\n8,cat\n-1,dog\n", r"'8' \(line 2\), '-1' \(line 3\). An index is a number from 0 to 7"),
        ("first,second,link\nx.png,y.png,maybe\n", "line 2: the link is 'maybe'; it is must or cannot"),
        ("first,second,link\n0,1,must\n0,,must\n", "line 3: a link is one of two images, first and second"),
        ("first,second,link\nx.png,x.png,must\n", "line 2: x.png is linked with itself"),
        ("first,second,link\nx.png,y.png,must\ny.png,x.png,cannot\n", "line 3: y.png and x.png are linked by must and"),
        (
            "first,second,link\n0,1,must\n2,1,must\n3,4,must\n0,2,cannot\n",
            "cats/a.png and cats/.*.png cannot be linked, but other lines link both",
        ),
    ],
)
def test_what_cannot_be_used_is_said(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(DataError, match=said):
        read(tmp_path, text)


HELD_OUT = ("test/a.png", "test/cats/b.png", "test/new.png")


def read_beside_held_out(tmp_path: Path, text: str) -> tuple[KnownLabels | KnownPairs, list[str]]:
    told: list[str] = []
    (tmp_path / "known.csv").write_text(text)
    images = PICTURES.subset(torch.arange(1, N))  # without cats/a.png
    found = read_known(str(tmp_path / "known.csv"), images, 3, 0, lambda: (*FILES, *HELD_OUT), told.append)
    assert isinstance(found, KnownLabels | KnownPairs)
    return found, told


@pytest.mark.parametrize("held_out", [*HELD_OUT, "cats/a.png", "cats\\a.png", "/home/pictures/test/a.png", "new.png"])
def test_lines_of_held_out_images_are_skipped_and_counted(tmp_path: Path, held_out: str) -> None:
    found, told = read_beside_held_out(tmp_path, f"file,label\nx.png,a\n{held_out},c\ny.png,b\n")
    assert isinstance(found, KnownLabels)
    assert (found.images.tolist(), found.names) == ([5, 6], ("a", "b"))
    assert told == ["1 line of known.csv skipped: of images that are held out"]
    pairs, told = read_beside_held_out(tmp_path, f"first,second,link\n{held_out},x.png,must\nx.png,y.png,cannot\n")
    assert isinstance(pairs, KnownPairs)
    assert (pairs.images.tolist(), pairs.must.tolist(), len(told)) == ([5, 6], [False], 1)


def test_no_held_out_image_lends_its_label_to_a_training_image(tmp_path: Path) -> None:
    """b.png is the end of a training image's name, and of a held-out one's; the whole names tell them apart."""
    whole, told = read_beside_held_out(tmp_path, "file,label\ncats/b.png,a\nx.png,b\n")
    assert (whole.images.tolist(), told) == ([0, 5], [])
    for text in ("file,label\nb.png,a\nx.png,b\n", "file,label\nnothing.png,a\nx.png,b\n"):
        with pytest.raises(DataError, match=r"not among the 7 training images .*\(line 2\)"):
            read_beside_held_out(tmp_path, text)
    with pytest.raises(DataError, match="all images here are held out"):
        read_beside_held_out(tmp_path, "file,label\ntest/a.png,a\ntest/new.png,b\n")


def test_files_of_images_without_names_are_their_positions(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"not among the 8 training images of images .*'x.png' \(line 2\)"):
        read(tmp_path, "file,label\nx.png,cat\n", NAMELESS)


def test_a_file_that_is_not_there_is_said_before_images_are_read(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nothing.csv does not exist"):
        check_there(str(tmp_path / "nothing.csv"))
    with pytest.raises(DataError, match="is no file"):
        check_there(str(tmp_path))


class Series:
    """As of pandas: it has the items of a mapping by its index, and is none."""

    def __init__(self, values: dict[int, object]) -> None:
        self.values = values

    def items(self) -> object:
        return self.values.items()


@pytest.mark.parametrize(
    "known",
    [
        {1: "a", np.int64(3): "b"},
        {1.0: "a", 3: "b", 0: None, 2: float("nan"), 4: ""},
        Series({1: np.str_("a"), 3: "b", 4: -1, 2: np.int64(-1), 0: -1.0}),
        [None, "a", float("nan"), "b", None],
        np.array(["", "a", "", "b", ""]),
    ],
)
def test_labels_by_position_as_python_has_them(known: object) -> None:
    assert labels_by_position(known, 5) == {1: "a", 3: "b"}


def test_arrays_hold_minus_one_where_nothing_is_known() -> None:
    assert labels_by_position(np.array([-1, 0, 2]), 3) == {1: 0, 2: 2}
    assert labels_by_position(torch.tensor([-1, 0, 2]), 3) == {1: 0, 2: 2}
    assert labels_by_position({1: -1, 2: 0}, 3) == {1: -1, 2: 0}  # a label of its own where it is said


@pytest.mark.parametrize(
    ("known", "said"),
    [
        (["a", "b"], "2 labels for 5 images. Labels are"),
        (np.zeros((5, 2)), r"a label is \[0.0, 0.0\]"),
        ({"0": "a"}, "'0' is no position of an image"),
        ({0.5: "a"}, "0.5 is no position of an image"),
        ({0: np.array([1, 2])}, "Labels are strings or numbers, one an image"),
    ],
)
def test_labels_by_position_that_cannot_be_are_said(known: object, said: str) -> None:
    with pytest.raises(DataError, match=said):
        labels_by_position(known, 5)


def test_a_draw_is_of_the_share_by_the_seed_and_grows() -> None:
    digits = load("digits")
    assert digits.labels is not None
    drawn = {share: draw_known(digits, share, 0, 10) for share in (0.01, 0.05)}
    assert [len(found.images) for found in drawn.values()] == [14, 71]  # of 1,415
    assert set(drawn[0.01].images.tolist()) < set(drawn[0.05].images.tolist())
    found = drawn[0.05]
    assert found.images.tolist() == sorted(found.images.tolist())
    assert [found.names[c] for c in found.classes.tolist()] == [
        digits.class_names[c] for c in digits.labels[found.images].tolist()
    ]
    assert same_knowledge(found.state(), draw_known(digits, 0.05, 0, 10))
    assert not same_knowledge(found.state(), draw_known(digits, 0.05, 1, 10))
    assert found.note(1415) == "labels of 71 of 1,415 images known"


def test_a_draw_needs_labels_and_images() -> None:
    with pytest.raises(DataError, match=r"known=0.5 draws from the labels of images \(train\), which has none"):
        draw_known(NAMELESS, 0.5, 0, 3)
    with pytest.raises(DataError, match="known=0.0001 is 0 of 1,415 images; 2 are needed"):
        draw_known(load("digits"), 0.0001, 0, 10)
    assert read_known(0.0, NAMELESS, 3, 0) is None
    assert read_known(None, NAMELESS, 3, 0) is None


def test_links_of_labels_are_all_pairs_of_different_images_alike() -> None:
    known = known_labels({5: "a", 2: "b", 9: "a"}, 10, 2, "here")
    uniform = torch.rand(6000, 2, generator=torch.Generator().manual_seed(0))
    first, second, must = known.links(uniform)
    counts = dict.fromkeys(((2, 5), (2, 9), (5, 2), (5, 9), (9, 2), (9, 5)), 0)
    for pair in zip(first.tolist(), second.tolist(), strict=True):
        counts[pair] += 1
    assert min(counts.values()) > 850  # 1,000 each, sd 29
    assert must.tolist() == [{a, b} == {5, 9} for a, b in zip(first.tolist(), second.tolist(), strict=True)]


def test_links_of_pairs_are_the_pairs() -> None:
    known = KnownPairs(torch.tensor([1, 4]), torch.tensor([2, 3]), torch.tensor([True, False]))
    first, second, must = known.links(torch.tensor([[0.2, 0.9], [0.7, 0.1], [1.0, 1.0]]))
    assert (first.tolist(), second.tolist(), must.tolist()) == ([1, 4, 4], [2, 3, 3], [True, False, False])


def test_positions_that_there_are_not_are_refused() -> None:
    with pytest.raises(DataError, match="here: there is no image 10; the training images are 0 to 9"):
        known_labels({10: "a", 2: "b"}, 10, 2, "here")
