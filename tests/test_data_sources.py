import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch
from jaxtyping import TypeCheckError
from typer.testing import CliRunner

from data import fetch, sources
from data.image_set import DataError, ImageSet, concatenate


def toy(split: str = "train", n: int = 2, value: int = 0, labels: bool = True, **fields: object) -> ImageSet:
    return ImageSet(
        "toy",
        split,
        torch.full((n, 1, 2, 2), value, dtype=torch.uint8),
        torch.arange(n) % 2 if labels else None,
        ("a", "b") if labels else (),
        **fields,  # type: ignore[arg-type]
    )


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Path | None]]:
    """A registry with one source, "toy", and the list of the calls that it gets."""
    calls: list[tuple[str, Path | None]] = []

    def source(split: str, data_root: Path | None) -> ImageSet:
        calls.append((split, data_root))
        return toy(split, n=3 if split == "train" else 1, value=1 if split == "train" else 2)

    monkeypatch.setattr(sources, "SOURCES", {"toy": source})
    return calls


def test_the_names() -> None:
    assert sources.names() == ("cifar10", "digits", "fashion-mnist", "kmnist", "mnist", "stl10", "usps")


def test_a_named_set_is_asked_for_its_split(asked: list[tuple[str, Path | None]]) -> None:
    assert len(sources.load("toy")) == 3
    assert len(sources.load("toy", "test", Path("root"))) == 1
    assert asked == [("train", None), ("test", Path("root"))]


def test_all_is_train_and_then_test(asked: list[tuple[str, Path | None]]) -> None:
    everything = sources.load("toy", "all")
    assert everything.split == "all"
    assert everything.images[:, 0, 0, 0].tolist() == [1, 1, 1, 2]
    assert everything.labels is not None
    assert everything.labels.tolist() == [0, 1, 0, 0]


def test_an_unknown_split() -> None:
    with pytest.raises(DataError, match="no split 'validation'. Splits are train, test, all"):
        sources.load("digits", "validation")


@pytest.mark.parametrize("name", ["fashion_mnist", "fashion-mnis", "Fashion-MNIST"])
def test_an_unknown_name_lists_the_names_and_the_nearest(name: str) -> None:
    with pytest.raises(DataError) as caught:
        sources.load(name)
    message = str(caught.value)
    assert "neither a data set's name nor a path" in message
    assert "Did you mean fashion-mnist?" in message
    assert "cifar10, digits, fashion-mnist, kmnist, mnist, stl10, usps" in message
    assert f"A path works as well: {sources.PATHS}" in message


@pytest.mark.parametrize("name", ["", "/no/such/folder", "zzz"])
def test_nothing_like_a_name(name: str) -> None:
    with pytest.raises(DataError, match="neither a data set's name nor a path that exists. Names are"):
        sources.load(name)


def test_a_file_of_another_kind(tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_text("1,2")
    with pytest.raises(
        DataError, match=r"x\.txt is a file of no kind that can be read.*\.npz, \.csv .\.csv\.gz., \.parquet"
    ):
        sources.load(str(tmp_path / "x.txt"))


def test_paths_reach_the_folder_and_the_npz_reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from PIL import Image

    pixels = np.arange(64, dtype=np.uint8).reshape(1, 8, 8)
    np.savez(tmp_path / "set.npz", images=pixels)
    (tmp_path / "folder").mkdir()
    Image.fromarray(pixels[0]).save(tmp_path / "folder" / "a.png")
    monkeypatch.setenv("HOME", str(tmp_path))
    for path in (str(tmp_path / "set.npz"), str(tmp_path / "folder"), "~/set.npz", "~/folder"):
        assert (sources.load(path).images.numpy() == pixels[None]).all()
        assert len(sources.load(path, "all")) == 1
        with pytest.raises(DataError, match="no test split"):
            sources.load(path, "test")


def test_fetch_says_what_it_found() -> None:
    result = CliRunner().invoke(fetch.app, ["digits"])
    assert result.exit_code == 0
    fingerprint = sources.load("digits", "all").fingerprint
    assert result.stdout == (
        f"digits: 1,797 images of 1×8×8, 10 classes, from scikit-learn, fingerprint {fingerprint}\n"
    )


def test_fetch_ends_with_2_and_the_message() -> None:
    result = CliRunner().invoke(fetch.app, ["no-such-set"])
    assert result.exit_code == 2
    assert result.stdout == ""
    assert "'no-such-set' is neither a data set's name" in result.stderr


def test_the_fingerprint_is_of_shape_and_pixels_alone() -> None:
    images = toy(value=7)
    assert images.fingerprint == hashlib.sha256(b"(2, 1, 2, 2)" + bytes([7] * 8)).hexdigest()
    assert images.fingerprint == toy("test", value=7, labels=False, origin="elsewhere").fingerprint
    assert images.fingerprint != toy(value=8).fingerprint


def test_concatenate_keeps_labels_only_when_both_have_them() -> None:
    assert concatenate(toy(), toy(labels=False)).labels is None
    assert concatenate(toy(), toy(labels=False)).class_names == ()
    assert concatenate(toy(), toy()).class_names == ("a", "b")


def test_concatenate_names_every_origin_once() -> None:
    assert concatenate(toy(origin="x"), toy(origin="x")).origin == "x"
    assert concatenate(toy(origin="x"), toy(origin="y")).origin == "x and y"


def test_sets_that_do_not_fit_are_not_joined() -> None:
    other = ImageSet("toy", "test", torch.zeros(1, 3, 2, 2, dtype=torch.uint8))
    with pytest.raises(DataError, match="cannot join images of shape"):
        concatenate(toy(), other)
    named = ImageSet("toy", "test", toy().images, toy().labels, ("b", "a"))
    with pytest.raises(DataError, match="different classes: a, b and b, a"):
        concatenate(toy(), named)


def test_subset_takes_images_and_labels_in_the_order_of_the_index() -> None:
    images = ImageSet(
        "toy", "train", torch.arange(3, dtype=torch.uint8).reshape(3, 1, 1, 1), torch.tensor([2, 0, 1]), ("a", "b", "c")
    )
    part = images.subset(torch.tensor([2, 0]))
    assert part.images.flatten().tolist() == [2, 0]
    assert part.labels is not None
    assert part.labels.tolist() == [1, 2]


PIXELS = torch.zeros(2, 1, 2, 2, dtype=torch.uint8)


@pytest.mark.parametrize(
    ("images", "labels"),
    [
        (PIXELS.float(), None),
        (PIXELS[0], None),
        (PIXELS, torch.tensor([0])),
    ],
)
def test_an_image_set_refuses_other_types_and_shapes(images: torch.Tensor, labels: torch.Tensor | None) -> None:
    # Where annotations are checked, as in the tests, the check comes before the set's own.
    with pytest.raises((DataError, TypeCheckError)):
        ImageSet("toy", "train", images, labels, ("a", "b"))


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (PIXELS[:0], None, "holds no images"),
        (PIXELS, torch.tensor([0, 2]), "labels run from 0 to 2"),
        (PIXELS, torch.tensor([-1, 0]), "labels run from -1 to 0"),
    ],
)
def test_an_image_set_refuses_what_does_not_fit(
    images: torch.Tensor, labels: torch.Tensor | None, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        ImageSet("toy", "train", images, labels, ("a", "b"))
