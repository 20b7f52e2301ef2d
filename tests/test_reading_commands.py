"""Pictures through the commands: what is said of them, what the checkpoint keeps, and where data is found again."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import eval as eval_command
import explore
import train
from data import array_cache, pictures
from data.names import Names
from data.reading import Reading, as_before
from data.sources import load
from engine.checkpoint import read_checkpoint
from tests.runs import call

SMALL = ("--method", "raw-kmeans", "--clusters", "2", "--no-share")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """21 pictures of one size and one that cannot be read; the folder that holds theirs is the current one."""
    monkeypatch.setenv("DEEP_CLUSTERING_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("DEEP_CLUSTERING_NO_CACHE", raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    rng = np.random.default_rng(0)
    for i in range(21):
        pixels = rng.integers(0, 100, (8, 8)) + (100 if i % 2 else 0)
        Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / "photos" / f"{i:02}.png")
    (tmp_path / "photos" / "x.png").write_bytes(b"")
    return tmp_path / "photos"


def test_a_run_tells_and_keeps_what_was_read(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = call(train.app, *SMALL, "--data", "photos", "--out", "run")
    assert done.exit_code == 0, done.stderr
    line = "read 21 of 22 images of photos (1 left out: 1 empty), 8×8 pixels, grey"
    assert done.stderr.count(line) == 1
    assert (tmp_path / "run" / "left_out.txt").read_text() == "x.png\tempty\n"
    data = read_checkpoint(tmp_path / "run" / "checkpoint.pt").data
    assert list(Names.from_state(data["names"])) == [f"{i:02}.png" for i in range(21)]
    assert data["place"] == str(folder)
    assert as_before(data["reading"]) == Reading((8, 8), 1)
    # A relative path is found from elsewhere.
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    scored = call(eval_command.app, "../run/checkpoint.pt", "--format", "json")
    assert scored.exit_code == 0, scored.stderr
    assert json.loads(scored.stdout)["data"] == "photos"
    # New pictures of another size and in colour become what the run's were.
    (tmp_path / "new").mkdir()
    Image.new("RGB", (30, 20), (250, 240, 250)).save(tmp_path / "new" / "a.png")
    Image.new("RGB", (20, 30), (5, 5, 5)).save(tmp_path / "new" / "b.png")
    scored = call(eval_command.app, "../run/checkpoint.pt", "--data", "../new", "--format", "json")
    assert scored.exit_code == 0, scored.stderr
    assert "read 2 of 2 images of ../new, 8×8 pixels, cover, grey" in scored.stderr
    # Nothing is left out any more, and the list goes.
    (folder / "x.png").unlink()
    monkeypatch.chdir(tmp_path)
    assert call(train.app, *SMALL, "--data", "photos", "--out", "run", "--overwrite").exit_code == 0
    assert not (tmp_path / "run" / "left_out.txt").exists()


def test_settings_of_reading_reach_every_command(folder: Path, tmp_path: Path) -> None:
    settings = ("--set", "data.size=[4, 6]", "--set", "data.fit=contain", "--set", "data.background=black")
    told = "4×6 pixels, contain, grey, on black"
    assert told in call(explore.app, "photos", *settings).stderr
    assert told in call(train.app, *SMALL, "--data", "photos", "--out", "run", *settings).stderr
    assert told in call(eval_command.app, "run/checkpoint.pt").stderr
    refused = call(train.app, *SMALL, "--data", "photos", "--out", "other", "--set", "data.unreadable=stop")
    assert refused.exit_code == 2
    assert "1 of 22 image files cannot be read" in refused.stderr
    wrong = call(explore.app, "photos", "--set", "data.fit=squeeze")
    assert wrong.exit_code == 2
    assert "data.fit" in wrong.stderr


def test_no_cache_keeps_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "KEPT_FROM", 4)
    # The option sets a variable, which is to go with the test.
    monkeypatch.setenv("DEEP_CLUSTERING_NO_CACHE", "")
    assert call(explore.app, "photos", "--no-cache").exit_code == 0
    assert array_cache.entries() == []
    monkeypatch.setenv("DEEP_CLUSTERING_NO_CACHE", "")
    assert call(explore.app, "photos").exit_code == 0
    assert len(array_cache.entries()) == 1


def test_a_mapped_set_trains_to_the_same_bits(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Training and held-out images in files, gathered ahead of use, or all in memory."""
    arguments = ["--method", "dec", "--data", "photos", "--clusters", "2", "--no-share", "--device", "cpu"]
    for setting in (
        *("data.validation=0.2", "model.name=dense", "model.hidden=[8]", "model.latent=2", "pretrain.epochs=2"),
        *("pretrain.min_steps=0", "pretrain.batch_size=5", "cluster.min_steps=0", "cluster.max_epochs=2"),
        *("cluster.batch_size=5", "initialise.redos=1"),
    ):
        arguments += ["--set", setting]
    weights = []
    for large, out in ((10**9, "memory"), (64, "mapped")):
        monkeypatch.setattr(array_cache, "LARGE", large)
        monkeypatch.setattr("engine.training_images.LARGE", large)
        done = call(train.app, *arguments, "--out", out)
        assert done.exit_code == 0, done.stderr
        weights.append(read_checkpoint(Path(out) / "checkpoint.pt").method)
    assert weights[0].keys() == weights[1].keys()
    for name, value in weights[0].items():
        if isinstance(value, torch.Tensor):
            assert torch.equal(value, weights[1][name]), name


def test_named_sets_have_names_and_are_never_resized() -> None:
    digits = load("digits", "all", reading=Reading(size=(4, 4)))
    assert digits.images.shape[2:] == (8, 8)
    assert digits.names is not None
    assert (digits.names[0], digits.names[-1]) == ("train[0]", "test[381]")
    assert digits.was_read is None
