from pathlib import Path

import pytest
import torch

from configs.schema import DataSettings
from data import sources
from data.image_set import DataError, ImageSet
from data.names import Names
from data.prepare import all_names, prepare, protocol_notes, splits_to_score

# Numbers that the images show. 3 and 104 are twice in their split, and 7 is in both.
SHOWN = {"train": [0, 1, 2, 3, 3, 4, 5, 6, 7, 8, 9], "test": [100, 101, 7, 104, 104]}


@pytest.fixture(autouse=True)
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Path | None]]:
    """A registry with one source, "toy", and the list of the calls that it gets."""
    calls: list[tuple[str, Path | None]] = []

    def source(split: str, data_root: Path | None) -> ImageSet:
        calls.append((split, data_root))
        shown = torch.tensor(SHOWN[split], dtype=torch.uint8)
        return ImageSet("toy", split, shown.reshape(-1, 1, 1, 1), shown.long() % 2, ("even", "odd"))

    monkeypatch.setattr(sources, "SOURCES", {"toy": source})
    return calls


def toy(**fields: object) -> DataSettings:
    return DataSettings.model_validate({"name": "toy", **fields})


def shown(settings: DataSettings, split: str, seed: int = 0) -> list[int]:
    images = prepare(settings, split, seed)
    assert images.split == split
    return images.images.flatten().tolist()


def test_by_default_a_split_is_as_it_is(asked: list[tuple[str, Path | None]]) -> None:
    assert shown(toy(), "train") == SHOWN["train"]
    assert shown(toy(), "test") == SHOWN["test"]
    assert shown(toy(), "all") == SHOWN["train"] + SHOWN["test"]
    asked.clear()
    prepare(toy(), "test", 0, Path("root"))
    assert asked == [("test", Path("root"))]


def test_duplicates_are_dropped_from_every_split() -> None:
    settings = toy(duplicates="drop")
    assert shown(settings, "train") == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]
    assert shown(settings, "test") == [100, 101, 7, 104]
    assert shown(settings, "all") == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 100, 101, 104]


def test_the_fitted_split_loses_the_validation_share_and_others_do_not() -> None:
    settings = toy(validation=0.2, duplicates="drop")
    fit, validation = shown(settings, "train"), shown(settings, "validation")
    assert (len(fit), len(validation)) == (8, 2)
    assert sorted(fit + validation) == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]
    assert shown(settings, "test") == [100, 101, 7, 104]
    assert len(shown(settings, "all")) == 13
    assert any(shown(settings, "validation", seed) != validation for seed in range(1, 6))


def test_the_subset_is_drawn_from_what_validation_leaves() -> None:
    settings = toy(validation=0.2, duplicates="drop", subset=5)
    whole = toy(validation=0.2, duplicates="drop")
    for seed in range(20):
        drawn = shown(settings, "train", seed)
        assert len(drawn) == 5
        assert set(drawn) <= set(shown(whole, "train", seed))
        # The subset changes nothing of what is held out.
        assert shown(settings, "validation", seed) == shown(whole, "validation", seed)
    assert len(shown(settings, "test")) == 4


def test_a_subset_by_class() -> None:
    # Of 11 images 6 are odd: the classes' shares of 4 are 1.8 and 2.2.
    for seed in range(10):
        images = prepare(toy(subset=4, draw="stratified"), "train", seed)
        assert images.labels is not None
        assert images.labels.bincount().tolist() == [2, 2]


def test_fitted_on_all_the_two_splits_are_scored_whole() -> None:
    settings = toy(split="all", validation=0.25, subset=3)
    assert len(shown(settings, "all")) == 3
    assert len(shown(settings, "validation")) == 4
    assert shown(settings, "train") == SHOWN["train"]
    assert shown(settings, "test") == SHOWN["test"]


def test_fitted_on_test_that_split_is_the_smaller() -> None:
    settings = toy(split="test", subset=2)
    assert len(shown(settings, "test")) == 2
    assert shown(settings, "train") == SHOWN["train"]


def test_splits_that_are_not_there(asked: list[tuple[str, Path | None]]) -> None:
    with pytest.raises(DataError, match="toy has no validation split.*Train with data.validation=0.2"):
        prepare(toy(), "validation", 0)
    with pytest.raises(DataError, match="no split 'dev'. Splits are train, validation, test, all"):
        prepare(toy(), "dev", 0)
    assert not asked


def test_settings_that_ask_for_too_much() -> None:
    with pytest.raises(DataError, match=r"toy .train.: a subset of 12 images was asked for, but there are 11"):
        prepare(toy(subset=12), "train", 0)
    with pytest.raises(DataError, match="a subset of 9 images was asked for, but there are 8"):
        prepare(toy(subset=9, validation=0.2, duplicates="drop"), "train", 0)
    with pytest.raises(DataError, match="leaves 11 to fit on and 0 to validate on"):
        prepare(toy(validation=0.01), "train", 0)
    # What is not drawn from is not too small.
    assert len(prepare(toy(subset=9), "test", 0)) == 5


def test_notes_say_what_was_done() -> None:
    assert protocol_notes(toy()) == ()
    assert protocol_notes(toy(split="all", draw="stratified")) == ()
    assert protocol_notes(toy(duplicates="drop", validation=0.2, subset=20_000)) == (
        "duplicates dropped",
        "20 % held out for validation",
        "fitted on 20,000 drawn at random",
    )
    assert protocol_notes(toy(subset=20_000, draw="stratified")) == (
        "fitted on 20,000 drawn by class (uses labels, as report)",
    )
    assert protocol_notes(toy(validation=0.07)) == ("7 % held out for validation",)


def test_which_splits_are_scored() -> None:
    assert splits_to_score(None, "train") == ("train",)
    assert splits_to_score(None, "all") == ("all",)
    assert splits_to_score("test", "train") == ("test",)
    assert splits_to_score("all", "train") == ("train", "test")
    assert splits_to_score("all", "all") == ("all",)
    with pytest.raises(DataError, match="there is no split 'tset'"):
        splits_to_score("tset", "train")


def test_the_names_of_all_images_are_those_of_the_whole_set(monkeypatch: pytest.MonkeyPatch) -> None:
    def named(split: str, data_root: Path | None) -> ImageSet:
        if data_root is not None:
            raise DataError("no such folder")
        return ImageSet("toy", split, torch.zeros(3, 1, 1, 1, dtype=torch.uint8), names=Names.rows(split, 3))

    assert list(all_names(toy())) == []  # its images have none
    monkeypatch.setattr(sources, "SOURCES", {"toy": named})
    everyone = [f"{split}[{i}]" for split in ("train", "test") for i in range(3)]
    for settings in (toy(), toy(subset=2), toy(validation=0.4), toy(split="test")):
        assert list(all_names(settings)) == everyone
    assert list(all_names(toy(), Path("elsewhere"))) == []
