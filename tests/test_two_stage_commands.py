"""Two-stage methods by train.py and eval.py: parts of a data set, groups, forests, reported figures beside ours."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

import eval
import train
from data.sources import load
from engine.checkpoint import read_checkpoint
from system.lock import locked
from tests.runs import Called, call

AE = (
    "representation.autoencoder.pretrain.epochs=2",
    "representation.autoencoder.pretrain.min_steps=0",
    "representation.autoencoder.model.layers=[{channels: 4, kernel: 3}]",
    "representation.autoencoder.model.hidden=[]",
    "data.validation=0.25",
)
REPORT = """
method: pca-gmm
name: z-gmm
report:
  row: "Z: GMM, PCA 5"
  figures:
    train: {nmi: 0.5, log_likelihood: -3.25}
    test: {rf_accuracy_add: 0.75}
  classify: true
data: {name: digits, subset: 500, draw: stratified}
representation:
  pca: {components: 5}
cluster: {name: gmm}
"""


def trained(out: Path, *arguments: str) -> Path:
    done = call(train.app, *arguments, "--device", "cpu", "--no-share", "--out", str(out))
    assert done.exit_code == 0, done.stderr
    assert done.stdout == f"{out / 'checkpoint.pt'}\n"
    return out / "checkpoint.pt"


def rows(done: Called) -> list[dict[str, object]]:
    assert done.exit_code == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture(scope="module")
def with_validation(tmp_path_factory: pytest.TempPathFactory) -> Path:
    settings = [part for setting in AE for part in ("--set", setting)]
    return trained(tmp_path_factory.mktemp("ae"), "--method", "ae-kmeans", "--data", "digits", *settings)


@pytest.fixture(scope="module")
def of_a_report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    (folder / "z.yaml").write_text(REPORT)
    return trained(folder / "run", "--config", str(folder / "z.yaml"))


def test_a_held_out_share_is_scored_after_every_epoch_and_by_eval(with_validation: Path) -> None:
    checkpoint = read_checkpoint(with_validation)
    n = len(load("digits"))
    assert checkpoint.data["n"] == n - round(n / 4)
    assert checkpoint.data["notes"] == ["25 % held out for validation"]
    epochs = [row for row in checkpoint.loop.history if row["phase"] == "pretrain"]
    assert [row["validation_loss"] > 0 for row in epochs] == [True, True]
    (row,) = rows(call(eval.app, str(with_validation), "--split", "validation", "--format", "json"))
    assert (row["n"], row["protocol"]) == (round(n / 4), "held out")
    (fitted,) = rows(call(eval.app, str(with_validation), "--format", "json"))
    assert (fitted["n"], fitted["protocol"]) == (checkpoint.data["n"], "transductive")
    assert fitted["peak_memory_mb"] > 100  # type: ignore[operator]


def test_clusters_are_merged_into_broader_ones(with_validation: Path) -> None:
    found = rows(call(eval.app, str(with_validation), "--broader", "4", "--broader", "2", "--format", "json"))
    assert [row["k"] for row in found] == [10, 4, 2]
    assert [row["title"] for row in found[1:]] == ["ae-kmeans, 4 groups", "ae-kmeans, 2 groups"]
    assert "inertia" in found[0]
    assert "inertia" not in found[1]
    assert 0.1 < found[0]["dendrogram_purity"] <= 1  # of the merge tree, which is cut for the other rows
    assert "dendrogram_purity" not in found[1]
    too_many = call(eval.app, str(with_validation), "--broader", "11")
    assert too_many.exit_code == 2
    assert "11" in too_many.stderr
    assert "ae-kmeans" in too_many.stdout  # what could be scored is


def test_a_report_stands_beside_ours_with_what_must_be_said(of_a_report: Path) -> None:
    done = call(eval.app, str(of_a_report), "--format", "json")
    (row,) = rows(done)
    assert (row["title"], row["method"], row["report"]) == ("z-gmm", "pca-gmm", "Z: GMM, PCA 5")
    assert (row["reported_nmi"], row["n"], row["protocol"]) == (0.5, 500, "transductive")
    assert "drawn by class" in str(row["notes"])
    assert {"log_likelihood", "bic"} <= row.keys()
    text = call(eval.app, str(of_a_report)).stdout
    assert "Notes" in text
    assert "Beside the reports" in text
    assert "reported" in text
    assert "drawn by class" in text
    assert max(map(len, text.splitlines())) <= 80


def test_forests_are_trained_on_what_was_fitted_and_scored_on_the_test_split(
    of_a_report: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("report.figures.FIGURES", {})  # all but the forests' own
    arguments = (
        "--figures",
        str(tmp_path),
        str(of_a_report),
        "--split",
        "all",
        "--classify",
        "add",
        "--classify",
        "replace",
        "--format",
        "json",
    )
    done = call(eval.app, *arguments)
    train_row, test_row = rows(done)
    assert "rf_accuracy_add" not in train_row
    assert 0.5 < test_row["rf_accuracy_replace"] < test_row["rf_accuracy_add"] <= 1  # type: ignore[operator]
    assert "precision" in done.stderr.lower()
    assert [file.name for file in tmp_path.rglob("confusion_classifiers.png")] == ["confusion_classifiers.png"]
    wrong = call(eval.app, str(of_a_report), "--classify", "shape")
    assert wrong.exit_code == 2
    assert "pixels, add, replace" in wrong.stderr


def test_without_neighbours_all_else_is_scored(of_a_report: Path) -> None:
    (row,) = rows(call(eval.app, str(of_a_report), "--no-neighbours", "--format", "json"))
    assert row["neighbour_purity"] is None
    assert row["silhouette"] is not None


def test_two_encoders_are_refused(tmp_path: Path) -> None:
    done = call(
        train.app, "--method", "hog-kmeans", "--set", "representation.simclr={}", "--out", str(tmp_path / "run")
    )
    assert done.exit_code == 2
    listed = "`hog`, `autoencoder`, `vae`, `simclr`, `frozen` and `features`"
    assert f"give one of {listed}, not several" in " ".join(done.stderr.split())
    assert not (tmp_path / "run").exists()


def test_two_commands_do_not_train_into_one_folder(tmp_path: Path) -> None:
    with locked(tmp_path / ".lock", lambda: False):
        done = call(train.app, "--method", "raw-kmeans", "--data", "digits", "--out", str(tmp_path))
    assert done.exit_code == 2
    assert "another command trains into" in done.stderr
    assert not (tmp_path / "checkpoint.pt").exists()


def test_help_fits_on_a_screen_and_names_the_parts() -> None:
    text = CliRunner().invoke(train.app, ["--help"], env={"COLUMNS": "80"}).stdout
    assert "REPRESENTATION-CLUSTERER" in text
    assert "spectral" in text


def test_a_checkpoint_holds_arrays_and_no_code(of_a_report: Path) -> None:
    content = torch.load(of_a_report, weights_only=True)
    arrays = content["method"]["clusterer._extra_state"]
    assert all(isinstance(value, torch.Tensor) for value in arrays.values())
