"""explore.py as a person calls it."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.decomposition import PCA

import explore
from data.image_set import ImageSet
from data.sources import load
from tests.runs import call


def unlabelled(folder: Path, n: int = 30) -> Path:
    """Colour images in a file, of which the last two equal the first."""
    images = np.random.default_rng(0).integers(0, 256, (n, 9, 7, 3), dtype=np.uint8)
    images[-2:] = images[0]
    np.savez(folder / "mine.npz", images=images)
    return folder / "mine.npz"


def noise(n: int) -> ImageSet:
    """Colour images of 4×5 pixels."""
    generator = torch.Generator().manual_seed(0)
    return ImageSet("noise", "train", torch.randint(0, 256, (n, 3, 4, 5), dtype=torch.uint8, generator=generator))


def test_classes_are_counted_and_nothing_is_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = call(explore.app, "digits", "--split", "test")
    assert done.exit_code == 0, done.stderr
    assert done.stdout.startswith("digits (test)")
    assert "By class" in done.stdout
    assert "Network" not in done.stdout
    assert max(len(line) for line in done.stdout.splitlines()) <= 80
    assert not list(tmp_path.iterdir())


def test_classes_are_drawn(tmp_path: Path) -> None:
    done = call(explore.app, "digits", "--out", str(tmp_path / "figures"))
    assert done.exit_code == 0, done.stderr
    assert sorted(file.stem for file in (tmp_path / "figures").iterdir()) == [
        "brightness", "explained_variance", "group_counts", "mean_images", "one_per_class", "pixel_histogram",
        "principal_components", "samples_by_class",
    ]  # fmt: skip
    assert f"figures: {tmp_path / 'figures'} (8 files)" in done.stderr


def test_images_without_labels_have_no_classes_but_duplicates(tmp_path: Path) -> None:
    done = call(explore.app, str(unlabelled(tmp_path)), "--out", str(tmp_path / "figures"))
    assert done.exit_code == 0, done.stderr
    assert "2 equal to an earlier image" in done.stdout
    assert "By " not in done.stdout
    assert {"samples", "mean_images"} <= {file.stem for file in (tmp_path / "figures").iterdir()}
    assert not {"group_counts", "one_per_set"} & {file.stem for file in (tmp_path / "figures").iterdir()}


def test_with_a_checkpoint_groups_are_clusters_and_the_network_is_shown(trained: Path, tmp_path: Path) -> None:
    done = call(explore.app, "digits", "--checkpoint", str(trained), "--out", str(tmp_path))
    assert done.exit_code == 0, done.stderr
    assert "By cluster" in done.stdout
    assert "cluster 9" in done.stdout
    assert "encoder  Conv2d 3×3, stride 2 + ReLU" in done.stdout
    assert max(len(line) for line in done.stdout.splitlines()) <= 80
    drawn = {file.stem for file in tmp_path.iterdir()}
    assert {"network", "samples_by_cluster", "one_per_cluster"} <= drawn


def test_what_the_checkpoint_cannot_take_is_refused(trained: Path, tmp_path: Path) -> None:
    done = call(explore.app, str(unlabelled(tmp_path)), "--checkpoint", str(trained))
    assert done.exit_code == 2
    assert "[3, 9, 7]" in done.stderr
    assert "trained on [1, 8, 8]" in done.stderr
    assert done.stdout == ""


def test_what_is_no_longer_drawn_goes_and_what_fails_ends_with_1(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("samples_by_class.png", "one_per_cluster.png", "network.png", "group_counts.png", "mine.png"):
        (tmp_path / name).write_text("older")

    def fails(*_: object) -> None:
        raise ValueError("no ink")

    monkeypatch.setattr(import_module("report.figures.brightness"), "brightness", fails)
    done = call(explore.app, str(unlabelled(tmp_path)), "--out", str(tmp_path))
    assert done.exit_code == 1
    assert "1 of 6 figures could not be drawn:\n  brightness: ValueError: no ink" in done.stderr
    assert sorted(file.stem for file in tmp_path.glob("*.png")) == [
        "explained_variance", "mean_images", "mine", "pixel_histogram", "principal_components", "samples",
    ]  # fmt: skip


@pytest.mark.parametrize("wide", [False, True])
def test_the_components_are_scikit_learns(wide: bool) -> None:
    images = noise(25) if wide else load("digits")
    found = explore.decompose(images)
    assert found is not None
    points = images.images.numpy().reshape(len(images), -1) / 255.0
    expected = PCA(svd_solver="full").fit(points)
    np.testing.assert_allclose(found.ratios, expected.explained_variance_ratio_, atol=1e-9)
    overlap = found.components[:6].flatten(1).double().numpy() @ expected.components_[:6].T
    np.testing.assert_allclose(np.abs(overlap), np.eye(6), atol=1e-5)
    for share in (0.5, 0.8, 0.9, 0.95):
        assert found.needed(share) == PCA(share, svd_solver="full").fit(points).n_components_


def test_five_images_span_four_directions() -> None:
    found = explore.decompose(noise(5))
    assert found is not None
    assert len(found.components) == 4
    assert found.needed(1.0) == 4


def test_equal_images_have_no_components() -> None:
    for images in (noise(1), noise(5).subset(torch.zeros(30, dtype=torch.int64))):
        assert explore.decompose(images) is None


def test_many_large_images_are_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(explore, "LARGEST", 30)
    monkeypatch.setattr(explore, "SAMPLE", 20)
    assert [found.images for n in (30, 31) if (found := explore.decompose(noise(n)))] == [30, 20]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["digit"], "Did you mean digits?"),
        (["digits", "--split", "half"], "there is no split 'half'"),
        (["digits", "--checkpoint", "none.pt"], "there is no checkpoint at none.pt"),
        (["digits", "--checkpoint", __file__], "is damaged, or no checkpoint"),
        (["digits", "--out", f"{__file__}/figures"], "no figures: cannot write into"),
    ],
)
def test_bad_usage_exits_with_2_and_a_sentence(arguments: list[str], message: str) -> None:
    done = call(explore.app, *arguments)
    assert done.exit_code == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_a_folder_s_files_formats_and_sizes_are_told(tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for i in range(6):
        side = 40 if i < 4 else 20
        pixels = np.random.default_rng(i).integers(0, 256, (side, side, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{i}.{'png' if i < 5 else 'bmp'}")
    (folder / "empty.png").write_bytes(b"")
    (folder / "notes.txt").write_text("x")
    done = call(explore.app, str(folder), "--no-cache")
    assert done.exit_code == 0, done.stderr
    assert "read 6 of 7 images" in done.stderr
    assert re.search(r"formats +.png 5, .bmp 1", done.stdout)
    assert re.search(r"sizes found +40×40 4, 20×20 2", done.stdout)
    assert re.search(r"left out +empty 1", done.stdout)
    assert "empty.png" in done.stdout
