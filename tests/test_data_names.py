import pickle
from pathlib import Path

import pytest
import torch

from data.image_set import ImageSet, concatenate
from data.names import Names
from data.subsets import drop_duplicates, hold_out

FILES = ["a.png", "cats/ä.png", "cats/\udce9.png", "", "x/y/z.jpeg"]  # the third is no UTF-8


def test_names_of_files_and_rows_of_files() -> None:
    names = Names.of(FILES) + Names.rows("digits.csv", 3) + Names.rows("more.csv", 2, first=7)
    expected = [*FILES, "digits.csv[0]", "digits.csv[1]", "digits.csv[2]", "more.csv[7]", "more.csv[8]"]
    assert list(names) == expected
    assert [names[i] for i in range(-10, 10)] == expected * 2
    assert list(names[2:7]) == expected[2:7]
    assert "digits.csv[1]" in names
    with pytest.raises(IndexError):
        names[10]
    with pytest.raises(IndexError):
        names.subset([10])
    assert list(Names.of([])) == []


def test_subsets_keep_their_order_also_of_subsets_and_sums() -> None:
    names = Names.of(FILES) + Names.rows("t", 4)
    picked = names.subset(torch.tensor([8, 0, -1, 4]))
    assert list(picked) == ["t[3]", "a.png", "t[3]", "x/y/z.jpeg"]
    assert list(picked.subset([3, 1])) == ["x/y/z.jpeg", "a.png"]
    assert list(picked + names.subset([1])) == [*picked, FILES[1]]
    assert picked == Names.of(list(picked))
    assert picked != Names.of(["a"] * 4)


def test_a_checkpoint_holds_them(tmp_path: Path) -> None:
    for names in (Names.of(FILES), Names.rows("t", 5).subset([4, 0]), (Names.of(FILES) + Names.rows("t", 2))[1:6:2]):
        torch.save(names.state(), tmp_path / "names")
        assert Names.from_state(torch.load(tmp_path / "names", weights_only=True)) == names


def test_a_million_rows_take_no_room() -> None:
    names = Names.rows("train", 1_000_000)
    assert len(pickle.dumps(names)) < 1000
    assert len(pickle.dumps(names.subset(torch.arange(0, 1_000_000, 100)))) < 10_000 * 8 + 1000
    files = [f"folder/{i:07}.png" for i in range(1000)]
    assert sum(value.nbytes for value in Names.of(files).state()["parts"][0].values()) < 15_000


def toy() -> ImageSet:
    pixels = torch.tensor([5, 6, 5, 7, 8], dtype=torch.uint8).reshape(-1, 1, 1, 1)
    return ImageSet("toy", "train", pixels, names=Names.of("abcde"))


def test_parts_of_a_set_keep_the_names() -> None:
    assert list(drop_duplicates(toy()).names or ()) == ["a", "b", "d", "e"]
    fit, held = hold_out(toy(), 0.4, 0)
    for part in (fit, held):
        assert part.names is not None
        assert [toy().images[ord(name) - ord("a")].item() for name in part.names] == part.images.flatten().tolist()
    assert sorted([*(fit.names or ()), *(held.names or ())]) == list("abcde")
    assert list(concatenate(toy(), toy()).names or ()) == list("abcdeabcde")
