"""Where a run's files stand when no --out says so."""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np

import train
from benchmarks.studies.known_k import mixture
from configs.schema import DataSettings, RunConfig
from engine.checkpoints_folder import CHECKPOINTS
from engine.run_folder import default_folder, usual_config
from methods.resolve import resolve_config
from tests.runs import ROOT, call


def folder(data: str, name: str = "") -> Path:
    return default_folder(RunConfig(method="dec", name=name, data=DataSettings(name=data)))


def test_the_folder_is_called_by_data_title_and_seed(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "pictures")
    assert folder("digits") == CHECKPOINTS / "digits-dec-s0"
    assert folder(str(tmp_path / "link"), "mine") == CHECKPOINTS / "pictures-mine-s0"


def test_a_link_that_leads_back_to_itself_has_a_folder(tmp_path: Path) -> None:
    (tmp_path / "circle").symlink_to("circle")
    assert folder(str(tmp_path / "circle")) == CHECKPOINTS / "circle-dec-s0"


def test_names_are_never_longer_than_a_file_system_takes(tmp_path: Path) -> None:
    names = ["x" * 5000, "x" * 5001, "é" * 200, "latin\udce9" * 100]
    found = {folder(name).name for name in names} | {folder("digits", name).name for name in names}
    assert len(found) == 8  # and different ones stay different
    for name in found:
        assert len(os.fsencode(name)) <= 200
    (tmp_path / max(found)).mkdir()


def named(method: str, *settings: str, **flags: object) -> str:
    config = resolve_config(method, None, settings, {"data.name": "digits", **flags})
    return default_folder(config, usual_config(method, None)).name


def test_what_is_not_usual_stands_in_the_name() -> None:
    assert named("dec") == named("DEC", clusters=10) == "digits-dec-s0"
    assert named("dec", clusters=8) == "digits-dec-k8-s0"
    assert named("dec", **{"runtime.device": "cpu"}) == "digits-dec-s0"
    longer, subset = named("dec", "pretrain.epochs=40"), named("dec", "data.subset=100")
    assert re.fullmatch(r"digits-dec-[0-9a-f]{6}-s0", longer)
    assert re.fullmatch(r"digits-dec-[0-9a-f]{6}-s0", subset)
    assert longer != subset
    assert named("dec", "pretrain.epochs=40", seed=3) == longer.replace("-s0", "-s3")
    assert named("dec", "name=longer", "pretrain.epochs=40") == "digits-longer-s0"
    assert named("raw-dbscan") == "digits-raw-dbscan-s0"
    assert named("raw-kmeans", **{"data.name": "my/pictures"}, clusters=10) == "pictures-raw-kmeans-k10-s0"


def test_a_file_that_names_its_run_is_what_is_usual() -> None:
    file = ROOT / "configs" / "brb-dec.yaml"
    usual = usual_config(None, file)
    assert default_folder(resolve_config(None, file, [], {}), usual).name == "fashion-mnist-brb-dec-s0"
    other = resolve_config(None, file, ["pretrain.epochs=1"], {})
    assert re.fullmatch(r"fashion-mnist-brb-dec-[0-9a-f]{6}-s0", default_folder(other, usual).name)


def test_only_endings_of_files_are_cut_off() -> None:
    assert folder("cam.2023").name == "cam.2023-dec-s0"
    assert folder("cam.2024").name == "cam.2024-dec-s0"
    assert folder("x/mine.csv.gz").name == folder("mine.npz").name == folder("mine.PARQUET").name == "mine-dec-s0"


def test_a_folder_that_is_taken_says_what_differs(tmp_path: Path) -> None:
    images = mixture(2, 8, seed=0)
    arguments = ["--method", "raw-kmeans", "--data", str(tmp_path / "set.npz"), "--out", str(tmp_path / "run")]
    np.savez(tmp_path / "set.npz", images=images.images[:, 0].numpy())
    assert call(train.app, *arguments, "--clusters", "2").exit_code == 0
    taken = call(train.app, *arguments, "--clusters", "3")
    assert taken.exit_code == 2
    assert "clusters: 2 → 3" in taken.stderr
    assert "--overwrite starts anew over it, --out DIR leaves it alone" in taken.stderr
