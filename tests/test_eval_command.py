"""eval.py: figures of every run in a place of their own, exit codes, and messages that say what to do."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import eval
import report.figures
import train
from report.figures.cluster_sizes import cluster_sizes
from report.figures.confusion import confusion
from report.figures.places import figure_folder
from tests.runs import Called, call


def images(folder: Path, name: str, n: int = 30, labels: bool = True) -> Path:
    """Grey images of 4×4 pixels in three shades, the classes."""
    classes = np.arange(n) % 3
    pixels = np.random.default_rng(n).integers(0, 30, (n, 4, 4)) + 80 * classes[:, None, None]
    known = {"labels": classes} if labels else {}
    np.savez(folder / name, images=pixels.astype(np.uint8), **known)
    return folder / name


def fitted(data: Path | str, out: Path, *arguments: str) -> Path:
    begin = ("--method", "raw-kmeans", "--data", str(data), "--clusters", "3", "--no-share", "--out", str(out))
    done = call(train.app, *begin, *arguments)
    assert done.exit_code == 0, done.stderr
    return out / "checkpoint.pt"


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    return fitted(images(folder, "mine.npz"), folder / "first" / "run")


@pytest.fixture(autouse=True)
def _two_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that needs labels and one that does not, since maps take seconds."""
    monkeypatch.setattr(report.figures, "FIGURES", {"confusion": confusion, "cluster_sizes": cluster_sizes})


def score(*arguments: object) -> Called:
    return call(eval.app, *map(str, arguments), "--format", "json", "--no-neighbours")


def drawn(folder: Path) -> list[str]:
    return sorted(file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file())


def test_images_are_decoded_for_figures_alone(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded: list[int] = []
    monkeypatch.setattr("methods.two_stage.TwoStage.reconstruct", lambda _, images: decoded.append(len(images)))
    assert score(checkpoint).exit_code == 0
    assert decoded == []
    assert score(checkpoint, "--figures", tmp_path).exit_code == 0
    assert len(decoded) == 1


def test_two_runs_of_one_name_have_their_own_figures(checkpoint: Path, tmp_path: Path) -> None:
    other = tmp_path / "second" / "run" / "checkpoint.pt"
    other.parent.mkdir(parents=True)
    shutil.copy(checkpoint, other)
    done = score(checkpoint, other, "--figures", tmp_path / "figures")
    assert done.exit_code == 0, done.stderr
    folders = sorted((tmp_path / "figures").iterdir())
    assert len(folders) == 2
    for folder in folders:
        assert folder.name.startswith("run-")
        assert folder.name.endswith("-train")
        assert drawn(folder) == ["cluster_sizes.png", "confusion.png"]


def test_figures_of_other_images_leave_the_runs_own_alone(checkpoint: Path, tmp_path: Path) -> None:
    figures = tmp_path / "figures"
    assert score(checkpoint, "--figures", figures).exit_code == 0
    (folder,) = figures.iterdir()
    own = {name: (folder / name).read_bytes() for name in drawn(folder)}
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        other = images(tmp_path / name, "other.npz", n=12, labels=False)
        assert score(checkpoint, "--figures", figures, "--data", other).exit_code == 0
    assert {name: (folder / name).read_bytes() for name in own} == own
    others = sorted(path for path in folder.iterdir() if path.is_dir())
    assert [path.name[:12] for path in others] == ["on-other.npz", "on-other.npz"]
    assert [drawn(path) for path in others] == [["cluster_sizes.png"]] * 2


def test_what_is_no_longer_drawn_goes_and_nothing_else(checkpoint: Path, tmp_path: Path) -> None:
    """As where a run is trained again on images that have no labels, or scored without forests."""
    home = tmp_path / "figures"
    assert score(checkpoint, "--figures", home).exit_code == 0
    (folder,) = home.iterdir()
    for name in ("learning_curves.png", "confusion_classifiers.png", "mine.png", "notes.txt"):
        (folder / name).write_text("older")
    assert score(checkpoint, "--figures", home).exit_code == 0
    assert drawn(folder) == ["cluster_sizes.png", "confusion.png", "mine.png", "notes.txt"]


def test_only_where_names_are_unique_the_folder_is_the_name_alone(tmp_path: Path) -> None:
    home, figures = tmp_path / "checkpoints", Path("figures")
    given = [home / "dec-s0" / "checkpoint.pt", tmp_path / "dec-s0" / "checkpoint.pt", home / "dec-s0" / "best.pt"]
    given += [home / ("é" * 90) / "checkpoint.pt", home / ("é" * 89 + "e") / "checkpoint.pt"]
    found = [figure_folder(figures, path, "test", None, home).name for path in given]
    assert found[0] == "dec-s0-test"
    assert len(set(found)) == len(given)
    assert max(len(name.encode()) for name in found) < 130
    elsewhere = {figure_folder(figures, given[0], "test", other, home) for other in ("mnist", "a/mnist", "b/mnist")}
    assert figures / "dec-s0-test" / "on-mnist" in elsewhere
    assert len(elsewhere) == 3


def test_figures_that_fail_end_with_1_and_keep_the_table(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(given: object) -> None:
        raise ValueError("no ink")

    monkeypatch.setattr(report.figures, "FIGURES", {"confusion": fails})
    done = score(checkpoint, "--figures", tmp_path)
    assert done.exit_code == 1
    assert json.loads(done.stdout)["method"] == "raw-kmeans"
    assert "1 of 1 figures could not be drawn:\n  confusion: ValueError: no ink" in done.stderr


def test_a_folder_that_cannot_be_written_ends_with_2_and_keeps_the_table(checkpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = score(checkpoint, "--figures", tmp_path / "file")
    assert done.exit_code == 2
    assert json.loads(done.stdout)["acc"] == 1
    assert "no figures: cannot write into" in done.stderr
    lost = score(checkpoint, "--output", tmp_path / "file" / "table.json")
    assert lost.exit_code == 2
    assert json.loads(lost.stdout)["acc"] == 1
    assert "cannot write the results to" in lost.stderr


def test_images_that_are_gone_are_told_with_run_and_way_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    images(tmp_path, "mine.npz")
    path = fitted("mine.npz", tmp_path / "run")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    # A relative path leads where it led when the run began, also from another folder.
    assert json.loads(score(path).stdout)["data"] == "mine.npz"
    (tmp_path / "mine.npz").rename(tmp_path / "moved.npz")
    done = score(path)
    assert done.exit_code == 2
    assert done.stderr.startswith(f"{path}, train split: 'mine.npz' is neither")
    assert "begins in the folder where train.py was started" in done.stderr
    assert "--data says where they are now" in done.stderr
    assert score(path, "--data", "../moved.npz").exit_code == 0


def test_a_split_that_was_never_there_is_not_called_gone(checkpoint: Path) -> None:
    done = score(checkpoint, "--split", "validation")
    assert done.exit_code == 2
    assert done.stderr.startswith(f"{checkpoint}, validation split: ")
    assert "--data" not in done.stderr


def test_forests_without_labels_are_told_so(checkpoint: Path, tmp_path: Path) -> None:
    bare = images(tmp_path, "bare.npz", labels=False)
    done = score(fitted(bare, tmp_path / "run"), "--classify", "add")
    assert done.exit_code == 2
    assert f"--classify: {bare} (train) has no labels" in done.stderr
    assert "test split" not in done.stderr
    one = score(checkpoint, "--classify", "add")
    assert one.exit_code == 2
    assert f"--classify: {checkpoint}, test split: " in one.stderr


def test_no_forest_is_scored_on_images_that_it_was_trained_on(tmp_path: Path) -> None:
    path = fitted("digits", tmp_path / "run", "--set", "data.split=all")
    done = score(path, "--classify", "pixels")
    assert done.exit_code == 2
    assert f"--classify: {path} was fitted to the split all" in done.stderr
    assert "rf_accuracy_pixels" not in json.loads(done.stdout)


def test_unknown_features_are_refused_before_the_work(checkpoint: Path) -> None:
    done = score(checkpoint, "--classify", "colour")
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr == "--classify: unknown features colour; choose among pixels, add, replace.\n"


@pytest.mark.parametrize(("n", "heading"), [(12, "11-NN"), (21, "20-NN"), (30, "20-NN")])
def test_neighbours_are_headed_by_their_number(tmp_path: Path, n: int, heading: str) -> None:
    path = fitted(images(tmp_path, "few.npz", n=n), tmp_path / "run")
    text = call(eval.app, str(path)).stdout
    assert heading in next(line for line in text.splitlines() if line.startswith("Method")).split()
    assert f"{heading}: share of the {heading[:2]} nearest neighbours with the same class." in text
