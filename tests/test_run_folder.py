"""Where a run's files stand when no --out says so."""

from __future__ import annotations

import os
from pathlib import Path

from configs.schema import DataSettings, RunConfig
from engine.run_folder import CHECKPOINTS, default_folder


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
