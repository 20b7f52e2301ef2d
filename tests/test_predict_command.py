"""predict.py as a person calls it."""

from __future__ import annotations

import csv
import io
import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import eval
import predict
import train
from data.sources import load
from engine.checkpoint import read_checkpoint
from report.finished_run import open_run
from report.gallery import build
from report.onnx_file import write_onnx
from tests.runs import SMALL, call

COLUMNS = ["file", "cluster", "probability", "second", "margin", "distance"]


def folder(path: Path, n: int = 60) -> Path:
    """Digits as PNG files in two albums."""
    images = load("digits").images[:n, 0].numpy()
    for i, image in enumerate(images):
        file = path / f"album {i % 2}" / f"{i:02}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(file)
    return path


def fitted(data: Path | str, out: Path, method: str, *arguments: str) -> Path:
    done = call(train.app, "--method", method, "--data", str(data), "--no-share", "--device", "cpu", "--out", str(out),
                *arguments)  # fmt: skip
    assert done.exit_code == 0, done.stderr
    return out / "checkpoint.pt"


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return folder(tmp_path_factory.mktemp("predict") / "pictures")


@pytest.fixture(scope="module")
def kmeans(pictures: Path) -> Path:
    return fitted(pictures, pictures.parent / "kmeans", "raw-kmeans", "--clusters", "4")


@pytest.fixture(scope="module")
def dec(pictures: Path) -> Path:
    settings = [part for setting in SMALL for part in ("--set", setting)]
    return fitted(pictures, pictures.parent / "dec", "dec", "--clusters", "4", *settings)


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_every_file_of_the_run_has_its_cluster_in_the_order_of_the_names(kmeans: Path, pictures: Path) -> None:
    done = call(predict.app, str(kmeans))
    assert done.exit_code == 0, done.stderr
    found = rows(done.stdout)
    assert list(found[0]) == COLUMNS
    files = sorted(path.relative_to(pictures).as_posix() for path in pictures.rglob("*.png"))
    assert [row["file"] for row in found] == files
    assignments = read_checkpoint(kmeans).assignments
    assert assignments is not None
    assert [int(row["cluster"]) for row in found] == assignments.tolist()
    assert {row["probability"] for row in found} == {""}  # KMeans has none
    assert all(float(row["distance"]) >= 0 and int(row["second"]) != int(row["cluster"]) for row in found)


def test_one_new_picture_is_enough(dec: Path, pictures: Path, tmp_path: Path) -> None:
    own = rows(call(predict.app, str(dec)).stdout)[3]
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "one.png").write_bytes((pictures / own["file"]).read_bytes())
    done = call(predict.app, str(dec), str(tmp_path / "new"), "--format", "json")
    assert done.exit_code == 0, done.stderr
    assert "read 1 of 1 images" in done.stderr
    (answer,) = [json.loads(line) for line in done.stdout.splitlines()]
    assert answer["file"] == "one.png"
    assert answer["cluster"] == int(own["cluster"])
    assert answer["probability"] == pytest.approx(float(own["probability"]), abs=1e-4)
    assert 0 < answer["probability"] <= 1


def test_page_folders_and_table_from_one_command(dec: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "map_places", lambda predictions: None)  # UMAP has tests of its own
    (tmp_path / "names.json").write_text('{"1": "round ones"}')
    done = call(predict.app, str(dec), "--gallery", str(tmp_path / "page"), "--sort-into", str(tmp_path / "sorted"),
                "--output", str(tmp_path / "table.csv"), "--names", str(tmp_path / "names.json"))  # fmt: skip
    assert done.exit_code == 0, done.stderr
    assert done.stdout == ""
    found = rows((tmp_path / "table.csv").read_text())
    assert len(found) == len([path for path in (tmp_path / "sorted").rglob("*.png") if path.is_symlink()]) == 60
    named = {row["name"] for row in found if row["cluster"] == "1"}
    assert named <= {"round ones"}
    assert (tmp_path / "page" / "index.html").is_file()
    assert "round ones" in (tmp_path / "page" / "data.js").read_text()


def test_a_folder_that_is_not_empty_is_refused_before_the_work(kmeans: Path, pictures: Path) -> None:
    done = call(predict.app, str(kmeans), "--sort-into", str(pictures))
    assert done.exit_code == 2
    assert "is not empty" in done.stderr
    assert done.stdout == ""


def test_noise_is_minus_one(tmp_path: Path) -> None:
    images = np.zeros((40, 8, 8), dtype=np.uint8)
    images[:20, :4] = np.random.default_rng(0).integers(200, 210, (20, 4, 8))
    images[20:38, 4:] = np.random.default_rng(1).integers(200, 210, (18, 4, 8))
    images[38:] = np.random.default_rng(2).integers(0, 255, (2, 8, 8))  # in no crowd
    np.savez(tmp_path / "made.npz", images=images)
    checkpoint = fitted(tmp_path / "made.npz", tmp_path / "run", "raw-dbscan")
    found = rows(call(predict.app, str(checkpoint)).stdout)
    assert [row["cluster"] for row in found] == ["0"] * 20 + ["1"] * 18 + ["-1"] * 2
    assert found[-1]["second"] == found[-1]["distance"] == ""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--format", "xml"], "--format xml: formats are csv, json, parquet."),
        (["--copy"], "--copy belongs to --sort-into"),
        (["--names", "nowhere.json"], "names in nowhere.json cannot be read"),
    ],
)
def test_what_cannot_be_is_refused_in_a_line(kmeans: Path, arguments: list[str], message: str) -> None:
    done = call(predict.app, str(kmeans), *arguments)
    assert done.exit_code == 2
    assert message in done.stderr


def test_names_of_a_cluster_that_there_is_not_are_refused(kmeans: Path, tmp_path: Path) -> None:
    (tmp_path / "names.json").write_text('{"4": "x"}')
    done = call(predict.app, str(kmeans), "--names", str(tmp_path / "names.json"))
    assert (done.exit_code, "names cluster '4'; the clusters are 0 to 3" in done.stderr) == (2, True)


def test_a_network_as_onnx_answers_as_the_method(dec: Path, kmeans: Path, tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    done = call(predict.app, str(dec), "--onnx", str(tmp_path / "dec.onnx"))
    assert done.exit_code == 0, done.stderr
    found = rows(done.stdout)
    images = load("digits").images[:60]
    session = onnxruntime.InferenceSession(str(tmp_path / "dec.onnx"), providers=["CPUExecutionProvider"])
    order = [int(os.path.basename(row["file"])[:2]) for row in found]
    (q,) = session.run(None, {"images": images[order].numpy()})
    assert q.argmax(axis=1).tolist() == [int(row["cluster"]) for row in found]
    torch.testing.assert_close(q.max(axis=1), np.array([float(row["probability"]) for row in found], np.float32),
                               rtol=1e-4, atol=1e-5)  # fmt: skip
    refused = call(predict.app, str(kmeans), "--onnx", str(tmp_path / "kmeans.onnx"))
    assert (refused.exit_code, "this method's answer is not one network's" in refused.stderr) == (1, True)
    assert not (tmp_path / "kmeans.onnx").exists()


def test_a_file_that_answers_otherwise_is_not_written(
    dec: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    run = open_run(dec, "cpu")
    images = run.images("train", None, None)
    other = open_run(dec, "cpu").method
    with torch.no_grad():
        other.head.centroids.mul_(3)  # type: ignore[attr-defined]
    from report import onnx_file

    whole = onnx_file.exported
    monkeypatch.setattr(onnx_file, "exported", lambda answer, given: whole(onnx_file.Answer(other).eval(), given))  # type: ignore[arg-type]
    with pytest.raises(Exception, match="would answer otherwise"):
        write_onnx(tmp_path / "dec.onnx", run.method, images)
    assert not list(tmp_path.iterdir())


def test_all_splits_of_a_folder_without_test_images_are_its_training_images(kmeans: Path) -> None:
    done = call(eval.app, str(kmeans), "--split", "all", "--format", "json")
    assert (done.exit_code, done.stderr.count("split")) == (0, 0), done.stderr
    assert [json.loads(line)["split"] for line in done.stdout.splitlines()] == ["train"]
    missing = call(eval.app, str(kmeans), "--split", "test")
    assert (missing.exit_code, "has no test split" in missing.stderr) == (2, True)


def test_images_that_were_fitted_are_known_one_by_one(kmeans: Path, pictures: Path, tmp_path: Path) -> None:
    new = tmp_path / "new"
    new.mkdir()
    for i, file in enumerate(sorted(pictures.rglob("*.png"))[:3]):
        (new / f"{i}.png").write_bytes(file.read_bytes())
    Image.fromarray(np.full((8, 8), 77, dtype=np.uint8)).save(new / "3.png")
    done = call(eval.app, str(kmeans), "--data", str(new), "--format", "json")
    assert done.exit_code == 0, done.stderr
    row = json.loads(done.stdout)
    assert (row["protocol"], "3 of the 4 images were fitted to" in row["notes"]) == ("mixed", True)
