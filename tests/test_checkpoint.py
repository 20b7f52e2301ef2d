"""Checkpoints: what comes back, what is refused, and that the last good one survives everything."""

from __future__ import annotations

import os
import pickle
import resource
import signal
from pathlib import Path
from typing import BinaryIO

import pytest
import torch

from engine.checkpoint import Checkpoint, LoopState, read_checkpoint, write_checkpoint
from engine.errors import CheckpointError
from engine.randomness import generator_states, restore_generators, seed_all
from system.atomic import remove_torn
from tests.forked import answer, start

pytestmark = pytest.mark.forks


def checkpoint(seed: int = 0) -> Checkpoint:
    return Checkpoint(
        config={"seed": seed},
        data={"name": "x", "shape": [1, 8, 8]},
        environment={"python": "3"},
        method={"weight": torch.full((1000,), float(seed))},
        loop=LoopState(phase=1, epoch=2, sums={"loss": 0.5}, previous=torch.arange(5), history=[{"phase": "a"}]),
        generators=generator_states(),
    )


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "new" / "checkpoint.pt"
    write_checkpoint(path, checkpoint(3))
    back = read_checkpoint(path)
    assert back.config == {"seed": 3}
    assert torch.equal(back.method["weight"], torch.full((1000,), 3.0))
    assert (back.loop.phase, back.loop.epoch, back.loop.sums) == (1, 2, {"loss": 0.5})
    assert back.loop.previous is not None
    assert back.loop.previous.tolist() == [0, 1, 2, 3, 4]
    assert [f.name for f in path.parent.iterdir()] == ["checkpoint.pt"]  # no temporary file is left


def test_it_opens_without_pickles_code(tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "c.pt", checkpoint())
    assert torch.load(tmp_path / "c.pt", weights_only=True)["format"].startswith("deep-clustering/")


def test_random_generators_go_on_where_they_were(tmp_path: Path) -> None:
    import random

    import numpy as np

    def draw() -> list[float]:
        return [random.random(), float(np.random.rand()), float(np.random.randn()), float(torch.rand(()))]  # noqa: NPY002

    seed_all(5)
    draw()
    write_checkpoint(tmp_path / "c.pt", checkpoint())
    expected = [draw(), draw()]
    seed_all(6)
    restore_generators(read_checkpoint(tmp_path / "c.pt").generators)
    assert [draw(), draw()] == expected


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.999])
def test_a_truncated_file_is_refused(tmp_path: Path, share: float) -> None:
    path = tmp_path / "c.pt"
    write_checkpoint(path, checkpoint())
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(CheckpointError, match=r"c\.pt (is damaged|is not a checkpoint)"):
        read_checkpoint(path)


class Evil:
    """What a stranger's pickle might hold."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (f"touch {Path(os.environ['EVIL'])}",)


def test_a_foreign_pickle_is_refused_and_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVIL", str(tmp_path / "ran"))
    torch.save({"format": Evil()}, tmp_path / "torch.pt")
    (tmp_path / "plain.pt").write_bytes(pickle.dumps(Evil()))
    for name in ("torch.pt", "plain.pt"):
        with pytest.raises(CheckpointError):
            read_checkpoint(tmp_path / name)
    assert not (tmp_path / "ran").exists()


def test_other_files_are_refused_by_what_they_are(tmp_path: Path) -> None:
    torch.save({"state_dict": {}}, tmp_path / "other.pt")
    with pytest.raises(CheckpointError, match="not a checkpoint of this project.*'not stated'"):
        read_checkpoint(tmp_path / "other.pt")
    torch.save(torch.ones(3), tmp_path / "tensor.pt")
    with pytest.raises(CheckpointError, match="holds a Tensor"):
        read_checkpoint(tmp_path / "tensor.pt")
    (tmp_path / "text.pt").write_text("hello")
    with pytest.raises(CheckpointError):
        read_checkpoint(tmp_path / "text.pt")
    with pytest.raises(CheckpointError, match="there is no checkpoint"):
        read_checkpoint(tmp_path / "none.pt")
    with pytest.raises(CheckpointError, match="there is no checkpoint"):
        read_checkpoint(tmp_path)


def written_to_a_full_disk(path: Path) -> str:
    resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))
    try:
        write_checkpoint(path, checkpoint(1))
    except CheckpointError as error:
        return str(error)
    return "written"


def test_a_full_disk_leaves_the_last_good_checkpoint(tmp_path: Path) -> None:
    """The limit on a file's size makes the system refuse the write, as a full disk does."""
    path = tmp_path / "c.pt"
    write_checkpoint(path, checkpoint(0))
    assert path.stat().st_size > 3000
    said = answer(written_to_a_full_disk, path)
    assert "could not write" in said
    assert f"The last good checkpoint is still there: {path}" in said
    assert read_checkpoint(path).config == {"seed": 0}
    assert [f.name for f in tmp_path.iterdir()] == ["c.pt"]


def test_an_unwritable_place_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(CheckpointError, match="could not write .*file/c.pt"):
        write_checkpoint(tmp_path / "file" / "c.pt", checkpoint())


def killed_while_writing(path: Path) -> None:
    save = torch.save

    def half(content: object, file: BinaryIO) -> None:
        save(content, file)
        file.seek(file.tell() // 2)
        file.truncate()
        file.flush()
        os.kill(os.getpid(), signal.SIGKILL)

    torch.save = half
    write_checkpoint(path, checkpoint(1))


def test_killed_in_the_middle_of_a_write_the_old_checkpoint_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "c.pt"
    write_checkpoint(path, checkpoint(0))
    process = start(killed_while_writing, path)
    process.join(120)
    assert process.exitcode == -signal.SIGKILL
    assert read_checkpoint(path).config == {"seed": 0}
    assert len(list(tmp_path.iterdir())) == 2  # the torn temporary file is left, beside the whole one
    remove_torn(path)
    assert [f.name for f in tmp_path.iterdir()] == ["c.pt"]


def test_a_checkpoint_of_another_version_is_refused(tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "c.pt", checkpoint())
    content = torch.load(tmp_path / "c.pt", weights_only=True)
    content["loop"]["unknown"] = 1
    torch.save(content, tmp_path / "c.pt")
    with pytest.raises(CheckpointError, match="another version of this project"):
        read_checkpoint(tmp_path / "c.pt")


def test_the_speed_is_that_of_the_last_trained_phase_by_hand() -> None:
    def epoch(phase: str, speed: float) -> dict[str, object]:
        return {"phase": phase, "images_per_second": speed}

    history = [epoch("pretrain", 900.0), epoch("cluster", 100.0), {"phase": "cluster", "notice": "x"}]
    state = LoopState(history=[*history, epoch("cluster", 300.0), {"phase": "assign", "seconds": 1.0}])
    assert state.images_per_second == pytest.approx(150.0)  # 300 images: 3 s and 1 s
    assert LoopState(history=[{"phase": "initialise", "seconds": 1.0}]).images_per_second is None
