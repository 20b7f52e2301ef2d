"""train.py and eval.py as a person calls them: a run from the command to the table, and messages for what is wrong."""

from __future__ import annotations

import csv
import io
import json
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch

import eval
import train
from data.sources import load
from engine.checkpoint import read_checkpoint
from tests.runs import EVERY_STEP, call, small_train


def test_a_run_leaves_what_it_promises(trained: Path) -> None:
    assert sorted(f.name for f in trained.parent.iterdir()) == [".lock", "checkpoint.pt", "config.yaml", "tb"]
    assert any((trained.parent / "tb").rglob("events.out.tfevents.*"))
    checkpoint = read_checkpoint(trained)
    assert checkpoint.loop.done
    assert list(checkpoint.loop.seconds) == ["pretrain", "initialise", "cluster"]
    assert checkpoint.data["name"] == "digits"
    assert len(checkpoint.environment["commit"]) >= 7
    assert {"torch", "faiss-cpu", "python", "threads"} <= checkpoint.environment.keys()
    assert checkpoint.assignments is not None
    assert len(checkpoint.assignments) == checkpoint.data["n"]


def test_json_is_one_object_a_checkpoint_and_split(trained: Path) -> None:
    done = call(eval.app, str(trained), "--split", "all", "--format", "json")
    assert done.exit_code == 0, done.stderr
    train, test = (json.loads(line) for line in done.stdout.splitlines())
    assert (train["split"], train["protocol"]) == ("train", "transductive")
    assert (test["split"], test["protocol"]) == ("test", "held out")
    for row in (train, test):
        assert row["method"] == "dec"
        assert row["data"] == "digits"
        assert row["k"] == 10
        assert row["silhouette_space"] == "latent (10-d)"
        assert 0 < row["acc"] <= 1
        assert row["seconds"] == pytest.approx(sum(v for k, v in row.items() if k.startswith("seconds_")))


def test_the_table_scores_the_assignments_of_the_checkpoint(trained: Path) -> None:
    done = call(eval.app, str(trained), "--format", "json")
    row = json.loads(done.stdout)
    sizes = torch.bincount(read_checkpoint(trained).assignments, minlength=10)  # type: ignore[arg-type]
    assert (row["size_min"], row["size_max"]) == (int(sizes.min()), int(sizes.max()))


def test_several_checkpoints_one_bad_keep_the_good_rows(trained: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.pt"
    bad.write_text("no checkpoint")
    output = tmp_path / "table.csv"
    done = call(eval.app, str(trained), str(bad), str(trained), "--format", "csv", "--output", str(output))
    assert done.exit_code == 2
    assert f"{bad} is damaged, or no checkpoint" in done.stderr
    assert len(list(csv.DictReader(io.StringIO(output.read_text())))) == 2
    assert done.stdout == ""


def test_images_without_labels_get_internal_metrics_and_figures(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # UMAP would compile itself for many seconds; that it draws images without labels is seen in the figures' own tests.
    monkeypatch.setattr(import_module("report.figures.latent_map"), "umap", lambda embedding: embedding[:, :2].numpy())
    images = np.random.default_rng(0).integers(0, 256, (60, 8, 8), dtype=np.uint8)
    np.savez(tmp_path / "mine.npz", images=images)
    arguments = ["--data", str(tmp_path / "mine.npz"), "--format", "json", "--figures", str(tmp_path / "figures")]
    done = call(eval.app, str(trained), *arguments)
    assert done.exit_code == 0, done.stderr
    row = json.loads(done.stdout)
    assert row["acc"] is None
    assert row["nmi"] is None
    assert row["davies_bouldin"] is not None
    (folder,) = (tmp_path / "figures").glob("*-train/on-mine.npz-*")
    drawn = {f.stem for f in folder.iterdir()}
    assert {"samples", "reconstructions", "decoded_centroids", "latent_map"} <= drawn, done.stderr
    assert "confusion" not in drawn


def test_training_on_a_file_without_labels(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (300, 12, 10, 3), dtype=np.uint8)
    np.savez(tmp_path / "mine.npz", images=images)
    arguments = small_train(tmp_path / "run")[2:]
    done = call(train.app, *arguments, "--data", str(tmp_path / "mine.npz"), "--clusters", "4")
    assert done.exit_code == 0, done.stderr
    assert read_checkpoint(tmp_path / "run" / "checkpoint.pt").data["shape"] == [3, 12, 10]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "name a method, --method NAME, or a config"),
        (["--method", "dce"], "there is no method 'dce'. Did you mean dcec? Methods: dec"),
        (["--method", "dec", "--set", "pretrain.epoch=3"], "Did you mean epochs?"),
        (["--method", "dec", "--config", "none.yaml"], "cannot read the config none.yaml"),
        (["--method", "dec", "--data", "fashion"], "neither a data set's name nor a path"),
        (["--method", "dec", "--data", "digits", "--clusters", "5000"], "5000 clusters for 1415 images"),
        (["--method", "dec", "--clusters", "1"], "clusters: received 1"),
        (["--method", "dec", "--data", "digits", "--precision", "8"], "runtime.precision: received '8'"),
        (
            ["--method", "dec", "--data", "digits", "--set", "model.layers=[{channels: 4, kernel: 9, padding: 0}]"],
            "8×8 pixels are too small",
        ),
        (["--method", "dec", "--data", "digits", "--set", "model.layers=[]"], "model.layers: received []"),
    ],
)
def test_bad_usage_exits_with_2_and_a_sentence(tmp_path: Path, arguments: list[str], message: str) -> None:
    done = call(train.app, *arguments, "--out", str(tmp_path / "run"))
    assert done.exit_code == 2, done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_a_loss_that_breaks_names_its_step_and_keeps_the_checkpoint(tmp_path: Path) -> None:
    settings = ("pretrain.optimiser.name=sgd", "pretrain.optimiser.learning_rate=1e30", *EVERY_STEP)
    done = call(train.app, *small_train(tmp_path, settings=settings)[2:])
    assert done.exit_code == 1
    assert "stopped in phase pretrain, step 1 (epoch 1): loss is" in done.stderr
    assert "Traceback" not in done.stderr
    assert not read_checkpoint(tmp_path / "checkpoint.pt").loop.done

    unfinished = call(eval.app, str(tmp_path / "checkpoint.pt"))
    assert unfinished.exit_code == 2
    assert "not finished; train.py --resume goes on" in unfinished.stderr


def test_an_unwritable_folder_is_said_before_the_training(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    done = call(train.app, *small_train(tmp_path / "file" / "run")[2:])
    assert done.exit_code in (1, 2)
    assert "file/run" in done.stderr
    assert "pretrain" not in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("arguments", [["--format", "xml"], ["--split", "half"], ["--device", "tpu"]])
def test_eval_names_what_it_takes(trained: Path, arguments: list[str]) -> None:
    done = call(eval.app, str(trained), *arguments)
    assert done.exit_code == 2
    assert arguments[1] in done.stderr
    assert "Traceback" not in done.stderr


def test_labels_change_nothing_in_training(tmp_path: Path) -> None:
    """Right labels, shuffled ones and none: the same weights and assignments, bit for bit."""
    digits = load("digits")
    assert digits.labels is not None
    shuffled = digits.labels[torch.randperm(len(digits), generator=torch.Generator().manual_seed(0))]
    results = []
    for name, labels in (("right", digits.labels), ("shuffled", shuffled), ("none", None)):
        more = {} if labels is None else {"labels": labels.numpy()}
        np.savez(tmp_path / f"{name}.npz", images=digits.images.numpy(), **more)
        arguments = small_train(tmp_path / name, "--clusters", "10")[2:]
        done = call(train.app, *arguments, "--data", str(tmp_path / f"{name}.npz"))
        assert done.exit_code == 0, done.stderr
        results.append(read_checkpoint(tmp_path / name / "checkpoint.pt"))
    for other in results[1:]:
        assert torch.equal(results[0].assignments, other.assignments)
        for key, value in results[0].method.items():
            if isinstance(value, torch.Tensor):
                assert torch.equal(value, other.method[key]), key


def test_a_run_fitted_to_all_images_is_held_out_from_none(tmp_path: Path) -> None:
    done = call(train.app, *small_train(tmp_path, settings=("data.split=all",))[2:])
    assert done.exit_code == 0, done.stderr
    for split in ("train", "test", "all"):
        scored = call(eval.app, str(tmp_path / "checkpoint.pt"), "--split", split, "--format", "json")
        (row,) = map(json.loads, scored.stdout.splitlines())
        assert (row["split"], row["protocol"]) == (split, "transductive")
    assert row["n"] == 1797


def test_all_splits_of_images_without_test_images_are_those_that_there_are(tmp_path: Path) -> None:
    np.savez(tmp_path / "mine.npz", images=load("digits").images.numpy()[:400])
    data = ["--data", str(tmp_path / "mine.npz")]
    done = call(train.app, *small_train(tmp_path / "run", "--clusters", "10")[2:], *data)
    assert done.exit_code == 0, done.stderr
    scored = call(eval.app, str(tmp_path / "run" / "checkpoint.pt"), "--split", "all", "--format", "json")
    assert scored.exit_code == 0, scored.stderr
    assert json.loads(scored.stdout)["split"] == "train"


def test_images_of_which_too_few_differ_are_refused(tmp_path: Path) -> None:
    """Constant images, or two pictures copied a hundred times, have no ten clusters."""
    images = np.full((300, 28, 28), 77, np.uint8)
    images[:100] = 3
    np.savez(tmp_path / "same.npz", images=images)
    data = ("--data", str(tmp_path / "same.npz"), "--clusters", "10")
    done = call(train.app, "--method", "dec", *data, "--out", str(tmp_path / "run"))
    assert done.exit_code == 2
    assert "10 clusters for 300 images, of which 2 differ" in done.stderr
    assert "ask for fewer clusters" in done.stderr
    assert not (tmp_path / "run" / "checkpoint.pt").exists()


def test_a_network_too_large_for_memory_is_said(tmp_path: Path) -> None:
    done = call(
        train.app, "--method", "dec", "--data", "digits", "--device", "cpu", "--no-share", "--out", str(tmp_path),
        "--set", "model.latent=2147483647",
    )  # fmt: skip
    assert done.exit_code == 2
    assert "a network of these settings cannot be built here: " in done.stderr
    assert "Make it smaller" in done.stderr
