"""Where nobody said k: sub-folders are counted, or the user is asked; methods that find it take none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import eval
import train
from benchmarks.studies.known_k import mixture
from configs.load import ConfigError
from engine.checkpoint import read_checkpoint
from evaluation.internal import silhouette
from methods.registry import METHODS, check_method, methods_table
from methods.resolve import resolve_config
from report.finished_run import open_run
from tests.runs import call, small_train


def pictures(folder: Path, *groups: str) -> Path:
    for number, image in enumerate(mixture(3, 4, seed=0).images):
        place = folder / groups[number % len(groups)] if groups else folder
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image[0].numpy()).save(place / f"{number}.png")
    return folder


def trained(folder: Path, out: Path, *arguments: str, method: str = "raw-kmeans") -> tuple[int, str]:
    line = ("--method", method, "--data", str(folder), "--out", str(out), "--no-share", *arguments)
    done = call(train.app, *line)
    return done.exit_code, " ".join(done.stderr.split())


def test_sub_folders_are_counted_and_the_run_says_so(tmp_path: Path) -> None:
    code, said = trained(pictures(tmp_path / "set", "cats", "dogs", "birds"), tmp_path / "run")
    note = "k = 3, the number of sub-folders: the user's own grouping"
    assert (code, note in said) == (0, True), said
    checkpoint = read_checkpoint(tmp_path / "run" / "checkpoint.pt")
    assert checkpoint.config["clusters"] == 3
    assert note in checkpoint.data["notes"]
    assert note in call(eval.app, str(tmp_path / "run" / "checkpoint.pt")).stdout.replace("\n", " ")
    trained(tmp_path / "set", tmp_path / "two", "--clusters", "2")
    assert read_checkpoint(tmp_path / "two" / "checkpoint.pt").config["clusters"] == 2


@pytest.mark.parametrize("groups", [(), ("all",)])
def test_without_groups_the_command_that_compares_k_is_shown(tmp_path: Path, groups: tuple[str, ...]) -> None:
    folder = pictures(tmp_path / "set", *groups)
    code, said = trained(folder, tmp_path / "run")
    assert code == 2
    assert f'python compare.py raw-kmeans --data "{folder}" --k 2-12' in said
    assert not (tmp_path / "run" / "checkpoint.pt").exists()


def test_labels_in_a_file_give_no_k(tmp_path: Path) -> None:
    images = mixture(2, 5, seed=0)
    assert images.labels is not None
    np.savez(tmp_path / "set.npz", images=images.images[:, 0].numpy(), labels=images.labels.numpy())
    code, said = trained(tmp_path / "set.npz", tmp_path / "run")
    assert (code, "how many clusters?" in said) == (2, True)


def test_a_method_that_finds_k_takes_none_and_records_none(tmp_path: Path) -> None:
    folder = pictures(tmp_path / "set")
    for asked in (("--clusters", "4"), ("--set", "clusters=4")):
        code, said = trained(folder, tmp_path / "run", *asked, method="raw-dbscan")
        assert code == 2
        assert f"raw-dbscan finds the number of clusters itself: leave {' '.join(asked)} out" in said
    code, said = trained(folder, tmp_path / "run", "--set", "cluster.points=2", method="raw-dbscan")
    assert code == 0, said
    run = open_run(tmp_path / "run" / "checkpoint.pt")
    assert run.row(run.predict("train", None, None))["k_asked"] is None


def test_methods_are_named_in_any_case_and_halves_of_a_name_are_understood() -> None:
    assert resolve_config("DEC", None, [], {}).method == "dec"
    assert resolve_config("UMAP-KMeans", None, [], {}).method == "umap-kmeans"
    for name, meant in (("kmeans", "raw-kmeans or umap-kmeans"), ("AE", "ae-kmeans or ae-gmm"), ("dce", "dcec")):
        with pytest.raises(ConfigError, match=rf"Did you mean {meant}\?"):
            check_method(name)


def test_the_table_of_methods_has_every_name_once_and_80_columns() -> None:
    lines = methods_table().splitlines()
    assert max(map(len, lines)) <= 77
    words = " ".join(lines).replace(",", " ").split()
    for name in METHODS:
        parts = name.rpartition("-")
        assert name in words or {parts[0], parts[2]} <= set(words)
    assert methods_table().splitlines()[0] in call(train.app, "--help").stdout


def test_the_pretrained_space_is_that_before_joint_training(tmp_path: Path) -> None:
    settings = ("pretrain.epochs=2", "cluster.max_epochs=2", "cluster.optimiser.learning_rate=0.01")
    done = call(train.app, *small_train(tmp_path, settings=settings)[2:])
    assert done.exit_code == 0, done.stderr
    run = open_run(tmp_path / "checkpoint.pt")
    predictions = run.predict("train", None, None)
    row = run.row(predictions, neighbours=False)
    before = run.checkpoint.pretrained
    assert before is not None
    assert predictions.pretrained is not None
    now = run.method.state_dict()
    assert any(
        not torch.equal(weights, now[f"backbone.autoencoder.encoder.{name}"]) for name, weights in before.items()
    )
    expected = silhouette(predictions.pretrained, predictions.assignments.labels)
    assert row["silhouette_pretrained"] == expected != row["silhouette"]
    # The weights are those that a run ends its pretraining with: another one of no joint training at all has them.
    idle = ("pretrain.epochs=2", "cluster.max_epochs=1", "cluster.optimiser.learning_rate=1e-30")
    done = call(train.app, *small_train(tmp_path / "idle", settings=idle)[2:])
    assert done.exit_code == 0, done.stderr
    still = open_run(tmp_path / "idle" / "checkpoint.pt").method.state_dict()
    assert all(torch.equal(weights, still[f"backbone.autoencoder.encoder.{name}"]) for name, weights in before.items())
