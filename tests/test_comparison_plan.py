"""Comparisons: which runs there are, under which names, and what counts as done."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from configs.load import ConfigError, to_yaml
from data.known_file import read_known
from data.prepare import prepare
from engine import checkpoints_folder
from engine.fit import fit
from engine.run_folder import saver
from methods.points import config_for_points
from report.comparison.own_images import OwnImages
from report.comparison.plan import Run, parse_grid, parse_seeds, plan
from report.comparison.schedule import score_command, train_command
from tests.small import SMALL

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(autouse=True)
def _own_checkpoints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoints_folder, "CHECKPOINTS", tmp_path)


def test_seeds_are_counted_or_listed() -> None:
    assert parse_seeds("3") == (0, 1, 2)
    assert parse_seeds("0,3,7") == (0, 3, 7)
    assert parse_seeds("3,") == (3,)
    for text in ("0", "-1", "1,1", "x", "", ",", "2,,"):
        with pytest.raises(ConfigError, match="--seeds"):
            parse_seeds(text)


def test_a_grid_names_a_setting_and_its_values() -> None:
    assert parse_grid(["a.b=1,2", "c=x"]) == {"a.b": ("1", "2"), "c": ("x",)}
    for texts in (["a"], ["=1"], ["a=1,,2"], ["a="], ["a=1", "a=2"]):
        with pytest.raises(ConfigError, match="--grid"):
            parse_grid(texts)


def test_every_source_runs_under_every_seed_with_the_seeds_innermost() -> None:
    runs = plan(["raw-kmeans", "dec"], [0, 1], [], {}, "digits")
    assert [run.name for run in runs] == ["raw-kmeans, seed 0", "raw-kmeans, seed 1", "dec, seed 0", "dec, seed 1"]
    assert [run.folder.name for run in runs][:2] == ["digits-raw-kmeans-s0", "digits-raw-kmeans-s1"]
    assert {run.config.data.name for run in runs} == {"digits"}
    assert runs[0].splits == ("train",)


def test_a_report_says_which_splits_are_scored() -> None:
    file = str(ROOT / "configs" / "reports" / "e-kmeans-raw.yaml")
    (run,) = plan([file], [0], [], {}, None)
    assert run.splits == ("train", "test")
    assert plan([file], [0], [], {}, None, ["validation"])[0].splits == ("validation",)
    assert "--classify" in score_command(run, "test", None)
    assert "--classify" not in score_command(run, "train", None)


def test_all_splits_are_scored_one_by_one_unless_they_were_fitted_as_one_set() -> None:
    assert plan(["raw-kmeans"], [0], [], {}, "digits", ["all", "test"])[0].splits == ("train", "test")
    (whole,) = plan(["raw-kmeans"], [0], ["data.split=all"], {}, "digits", ["all"])
    assert whole.splits == ("all",)
    assert plan(["raw-kmeans"], [0], ["data.split=all"], {}, "digits")[0].splits == ("all",)
    with pytest.raises(ConfigError, match=r"--split: there is no split 'trian'\. Splits are train, validation, test"):
        plan(["raw-kmeans"], [0], [], {}, "digits", ["trian"])


def test_the_points_of_a_grid_have_names_and_folders_of_their_own() -> None:
    grid = parse_grid(["cluster.redos=1,2", "cluster.iterations=5,6"])
    runs = plan(["raw-kmeans"], [0], ["clusters=4"], grid, "digits")
    assert [run.config.title for run in runs][:2] == [
        "raw-kmeans,redos=1,iterations=5",
        "raw-kmeans,redos=1,iterations=6",
    ]
    assert len({run.folder for run in runs}) == 4
    assert runs[3].config.model_dump()["cluster"]["redos"] == 2
    assert runs[3].point == {"cluster.redos": "2", "cluster.iterations": "6"}
    assert {run.config.clusters for run in runs} == {4}
    command = train_command(runs[3], Path("/data"))
    assert command[command.index("--data-root") + 1] == "/data"
    assert "cluster.redos=2" in command


def test_one_grid_on_two_settings_has_two_folders() -> None:
    grid = parse_grid(["cluster.redos=1,2"])
    settings: list[list[str]] = [[], ["data.long_tail=10"], ["data.long_tail=50"]]
    first, second, third = (plan(["raw-kmeans"], [0], given, grid, "digits") for given in settings)
    assert [run.folder.name for run in first] == ["digits-raw-kmeans,redos=1-s0", "digits-raw-kmeans,redos=2-s0"]
    assert len({run.folder for run in (*first, *second, *third)}) == 6
    assert str(second[0].folder) in train_command(second[0], None)


def test_runs_of_one_name_are_refused(tmp_path: Path) -> None:
    (tmp_path / "other.yaml").write_text("method: raw-kmeans\nname: raw-kmeans\nclusters: 5\n")
    with pytest.raises(ConfigError, match="would both write"):
        plan(["raw-kmeans", str(tmp_path / "other.yaml")], [0], [], {}, "fashion-mnist")


def test_an_unknown_method_or_setting_is_named() -> None:
    with pytest.raises(ConfigError, match=r"no method 'raw-kmean'\. Did you mean raw-kmeans\?"):
        plan(["raw-kmean"], [0], [], {}, None)
    with pytest.raises(ConfigError, match="Did you mean redos"):
        plan(["raw-kmeans"], [0], [], parse_grid(["cluster.redo=1"]), None)


def make(run: Run) -> None:
    run.folder.mkdir(parents=True)
    (run.folder / "config.yaml").write_text(to_yaml(run.config))
    run.checkpoint.write_bytes(b"x")


def train(run: Run) -> None:
    """What `train.py` leaves of it."""
    images = prepare(run.config.data, "train", 0, None)
    config, _ = config_for_points(run.config, run.assignments)
    save = saver(run.folder)
    fit(config, images, known=read_known(config.known, images, config.clusters, 0), save=save)


def test_another_run_in_its_folder_is_refused_with_what_differs() -> None:
    (run,) = plan(["raw-kmeans"], [0], ["name=mine"], {}, "digits")
    run.check_folder(OwnImages(None))
    make(run)
    run.check_folder(OwnImages(None))
    (other,) = plan(["raw-kmeans"], [0], ["name=mine", "cluster.redos=3"], {}, "digits")
    with pytest.raises(ConfigError, match="redos: 10 → 3"):
        other.check_folder(OwnImages(None))
    (renamed,) = plan(["raw-kmeans"], [0], ["name=mine", "data.validation=0.5"], {}, "digits")
    with pytest.raises(ConfigError, match="validation"):
        renamed.check_folder(OwnImages(None))


def test_a_finished_run_on_files_that_have_changed_since_is_refused(tmp_path: Path) -> None:
    points, known = tmp_path / "points.npz", tmp_path / "known.csv"
    values = np.random.default_rng(0).normal(size=(40, 3)).astype("float32")
    np.savez(points, features=values)
    known.write_text("index,label\n0,a\n1,b\n2,a\n")
    settings = [*SMALL["dec"], "clusters=2", f"known={known}", "runtime.device=cpu"]
    (run,) = plan(["dec"], [0], settings, {}, str(points))
    train(run)  # whose network is dense then
    run.check_folder(OwnImages(None))
    known.write_text("label,index\na,0\nb,1\na,2\n")  # says the same
    run.check_folder(OwnImages(None))
    known.write_text("index,label\n0,a\n1,b\n2,b\n")
    with pytest.raises(ConfigError, match="what is known of the images: the file has changed"):
        run.check_folder(OwnImages(None))
    known.unlink()
    run.check_folder(OwnImages(None))  # it is not needed any more
    known.write_text("index,label\n0,a\n1,b\n2,a\n")
    np.savez(points, features=values[::-1])
    with pytest.raises(ConfigError, match="the images: 40 of fingerprint"):
        run.check_folder(OwnImages(None))


def test_scores_count_until_the_checkpoint_is_newer() -> None:
    import os

    (run,) = plan(["raw-kmeans"], [0], [], {}, "digits")
    assert not run.is_scored("train")
    assert not run.is_trained()
    make(run)
    run.scores("train").write_text(json.dumps({}))
    assert run.is_scored("train")
    later = run.scores("train").stat().st_mtime_ns + 1_000_000
    os.utime(run.checkpoint, ns=(later, later))
    assert not run.is_scored("train")
    assert not run.is_trained()  # what stands there is no checkpoint
