"""Runs that were told labels: what is scored of them, how their rows stand, and the commands."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import compare
import eval
import predict
import train
from data.prepare import prepare
from deepclustering import DeepClustering
from engine.checkpoint import read_checkpoint
from evaluation.agreement import agreement
from evaluation.contingency import contingency
from report.cluster_names import names_by_known
from report.finished_run import open_run
from report.reported import render_reported
from report.rows import Row
from report.table import render
from tests.runs import SMALL, Called, call

SETTINGS = [part for setting in SMALL for part in ("--set", setting)]
QUICK = dict(setting.split("=", 1) for setting in SMALL)


def trained(out: Path, *arguments: str) -> Called:
    return call(train.app, "--data", "digits", "--device", "cpu", "--no-share", "--out", str(out), *arguments)


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small run of DEC that was told a tenth of the labels of digits."""
    out = tmp_path_factory.mktemp("told")
    done = trained(out, "--method", "dec", "--known", "0.1", *SETTINGS)
    assert done.exit_code == 0, done.stderr
    return out / "checkpoint.pt"


def rows(*arguments: str) -> list[dict[str, Any]]:
    called = call(eval.app, *arguments, "--format", "json", "--no-neighbours")
    assert called.exit_code == 0, called.stderr
    return [json.loads(line) for line in called.stdout.splitlines()]


def test_the_other_images_alone_are_scored(told: Path) -> None:
    (row,) = rows(str(told))
    assert (row["n"], row["known"], row["protocol"]) == (1273, "142 of 1,415", "transductive")  # 1,415 - 142
    assert "labels of 142 of 1,415 images known" in row["notes"]
    run = open_run(told, "cpu")
    images = prepare(run.config.data, "train", 0)
    others = torch.ones(len(images), dtype=torch.bool)
    others[run.checkpoint.data["known"]["images"]] = False
    assert images.labels is not None
    assert run.checkpoint.assignments is not None
    table = contingency(images.labels[others], run.checkpoint.assignments[others])
    assert row["acc"] == pytest.approx(agreement(table)["acc"], abs=1e-9)


def test_a_split_without_known_images_is_scored_whole(told: Path) -> None:
    train_row, test_row = rows(str(told), "--split", "all")
    assert (train_row["n"], test_row["n"]) == (1273, 382)
    assert test_row["protocol"] == "held out"
    assert test_row["known"] == "142 of 1,415"


def test_known_images_are_left_out_wherever_they_come_from(told: Path, tmp_path: Path) -> None:
    """The same pictures as another set, in another order."""
    images = prepare(open_run(told, "cpu").config.data, "train", 0)
    assert images.labels is not None
    file = tmp_path / "again.npz"
    np.savez(file, x_train=images.images[:, 0].flip(0).numpy(), y_train=images.labels.flip(0).numpy())
    (row,) = rows(str(told), "--data", str(file))
    assert row["n"] == 1273


def made(title: str, **values: Any) -> Row:
    return {"title": title, "method": title, "data": "d", "split": "train", "n": 10, "k": 2, "acc": 0.5, "seconds": 1.0,
            "checkpoint": title, "protocol": "transductive", **values}  # fmt: skip


def test_rows_with_known_labels_stand_apart() -> None:
    plain, told = made("plain"), made("told", known="1 of 10")
    outside, both = made("outside", outside_data="cats"), made("both", outside_data="cats", known="1 of 10")
    text = render([told, both, plain, outside], "markdown")
    parts = text.split("## ")
    assert [part.partition("\n")[0] for part in parts[1:]] == [
        "With known labels",
        "With a network or features of others",
        "With a network or features of others and known labels",
    ]
    for part, title in zip(parts, ("plain", "told", "outside", "both"), strict=True):
        assert [name for name in ("plain", "told", "outside", "both") if f"| {name} " in part] == [title]
    compared = render_reported([plain, told], "markdown")
    before, heading, after = compared.partition("### Without a report, with known labels")
    assert heading
    assert ("plain" in before, "told" in before, "plain" in after, "told" in after) == (True, False, False, True)


def test_clusters_are_called_by_known_labels(told: Path, tmp_path: Path) -> None:
    checkpoint = read_checkpoint(told)
    known, clusters = checkpoint.data["known"], checkpoint.assignments
    assert clusters is not None
    found = names_by_known(checkpoint)
    for cluster, name in found.items():
        labels = [known["names"][c] for i, c in zip(known["images"].tolist(), known["classes"].tolist(), strict=True)
                  if clusters[i] == cluster]  # fmt: skip
        assert labels.count(name) == max(map(labels.count, labels))
    table = tmp_path / "clusters.csv"
    assert call(predict.app, str(told), "--output", str(table)).exit_code == 0
    lines = [line.split(",") for line in table.read_text().splitlines()]
    assert lines[0][:3] == ["file", "cluster", "name"]
    assert len(lines) == 1 + 1415  # all images, known or not
    assert {(line[1], line[2]) for line in lines[1:] if line[2]} <= {(str(c), name) for c, name in found.items()}


def test_a_table_of_clusters_with_labels_for_some_is_a_file_of_known_labels(told: Path, tmp_path: Path) -> None:
    table = tmp_path / "clusters.csv"
    assert call(predict.app, str(told), "--output", str(table)).exit_code == 0
    head, *lines = table.read_text().splitlines()
    labelled = [f"{line},{'even' if i % 2 else 'odd'}" if i < 20 else f"{line}," for i, line in enumerate(lines)]
    held_out = "test[3],0" + "," * head.count(",") + "odd"
    table.write_text("\n".join([f"{head},label", *labelled, held_out]) + "\n")
    out = tmp_path / "again"
    done = trained(out, "--method", "idec", "--known", str(table), *SETTINGS, "--set", "model.name=conv")
    assert done.exit_code == 0, done.stderr
    data = read_checkpoint(out / "checkpoint.pt").data
    for note in ("labels of 20 of 1,415 images known", "1 line of clusters.csv skipped: of images that are held out"):
        assert note in done.stderr
        assert note in data["notes"]
    known = data["known"]
    assert known["images"].tolist() == list(range(20))
    assert known["names"] == ["even", "odd"]

    table.write_text(table.read_text().replace(",odd", ",even", 1))
    again = trained(out, "--method", "idec", "--known", str(table), *SETTINGS, "--set", "model.name=conv", "--resume")
    assert again.exit_code == 2
    assert "what is known of the images: the file has changed" in again.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--method", "dkm", "--known", "0.1"), "dkm cannot learn from known labels. These can: dec, idec, "),
        (("--method", "umap-kmeans", "--known", "0.1"), "pace."),
        (("--method", "dec", "--known", "labels.csv"), "known: labels.csv does not exist"),
        (
            ("--method", "dec", "--known", "1.5"),
            "known: received 1.5. It takes a share of the images, from 0 to below 1, or a file",
        ),
        (("--method", "dec", "--known", "0.1", "--clusters", "5"), "10 classes, and 5 clusters"),
    ],
)
def test_the_command_says_what_cannot_be(tmp_path: Path, arguments: tuple[str, ...], said: str) -> None:
    done = trained(tmp_path / "run", *arguments)
    assert done.exit_code == 2
    assert said in done.stderr
    assert not (tmp_path / "run" / "checkpoint.pt").exists()


def test_a_comparison_takes_it_as_a_setting(tmp_path: Path) -> None:
    called = call(compare.app, "dkm", "--data", "digits", "--grid", "known=0,0.1", "--out", str(tmp_path))
    assert called.exit_code == 2
    assert "dkm cannot learn from known labels" in called.stderr


def test_from_python() -> None:
    images = prepare(DeepClustering("dec")._config("digits").data, "train", 0)
    assert images.labels is not None
    pixels, labels = images.images[:200, 0].numpy(), images.labels[:200].tolist()
    known = {i: labels[i] for i in range(50)}
    model = DeepClustering("dec", settings=QUICK, known=known, device="cpu").fit(pixels, labels)
    other = DeepClustering("dec", settings=QUICK, known=known, device="cpu").fit(pixels, labels[::-1])
    assert (model.labels_ == other.labels_).all()  # y is not looked at
    assert model.checkpoint_.data["known"]["images"].tolist() == list(range(50))
    assert model.score_table(pixels, labels)["n"] == 150
    for told_or_wrong, said in ((labels[:50], "was told the labels of all images"), ([[0, 1]] * 50, "labels")):
        with pytest.raises(ValueError, match=said):
            model.score_table(pixels[:50], told_or_wrong)
    with pytest.raises(ValueError, match="raw-kmeans cannot learn from known labels. These can: dec, idec, "):
        DeepClustering("raw-kmeans", known=known).fit(pixels)
    with pytest.raises(ValueError, match=r"known=0.1 draws from the labels of images"):
        DeepClustering("dec", known=0.1).fit(pixels)
    with pytest.raises(ValueError, match="the setting known has a parameter of its own"):
        DeepClustering("dec", settings={"known": 0.1}).fit(pixels)


def test_a_run_that_was_told_nothing_has_no_such_column(told: Path) -> None:
    run = open_run(told, "cpu")
    run.checkpoint.data["known"] = None
    row = run.row(run.predict("test", None, None), neighbours=False)
    assert "known" not in row
    assert isinstance(row, dict)


def test_nothing_is_left_where_all_is_known(told: Path, tmp_path: Path) -> None:
    run = open_run(told, "cpu")
    images = prepare(run.config.data, "train", 0)
    known = run.checkpoint.data["known"]["images"]
    assert images.labels is not None
    file = tmp_path / "told.npz"
    np.savez(file, x_train=images.images[known, 0].numpy(), y_train=images.labels[known].numpy())
    called = call(eval.app, str(told), "--data", str(file))
    assert called.exit_code == 2
    assert "was told the labels of all images" in called.stderr
