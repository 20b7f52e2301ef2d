"""The peak of memory is this process's own, and what it frees it uses again."""

from __future__ import annotations

import platform
import resource
import subprocess
import sys
from types import ModuleType

import pytest
import torch
from typer.testing import CliRunner

import engine.memory
import eval as eval_script
import train
from engine.memory import keep_freed_memory, peak_memory
from tests.forked import answer
from tests.runs import ROOT

pytestmark = pytest.mark.forks

ASK = "import torch; from engine.memory import peak_memory; print(peak_memory(torch.device('cpu')))"


def test_what_was_held_once_counts() -> None:
    before = peak_memory(torch.device("cpu"))
    held = torch.ones(100 * 2**18)  # 100 MiB
    assert held.sum() == 100 * 2**18
    del held
    assert peak_memory(torch.device("cpu")) >= max(before, 100)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not hand it on")
def test_the_process_that_started_it_does_not_count() -> None:
    ballast = torch.ones(2**30 // 4)  # 1 GiB
    own = float(
        subprocess.run([sys.executable, "-c", ASK], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    )
    assert own < 1000 <= ballast.numel() * 4 / 2**20


@pytest.mark.skipif("glibc" not in platform.libc_ver(), reason="only glibc's allocator is told")
def test_freed_memory_is_used_again() -> None:
    assert answer(page_faults, True) < answer(page_faults, False) / 5


def page_faults(keep: bool) -> int:
    """Of the last of many steps of a small network: by then it has had all its memory once."""
    if keep:
        keep_freed_memory()
    network = torch.nn.Sequential(
        torch.nn.Conv2d(1, 16, 4, 2, 1), torch.nn.ReLU(), torch.nn.Conv2d(16, 16, 3, 1, 1), torch.nn.ReLU()
    )
    images = torch.zeros(256, 1, 28, 28)
    faults = []
    for _ in range(80):
        network(images).square().mean().backward()
        faults.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)
    return faults[-1] - faults[50]


@pytest.mark.parametrize(
    ("script", "arguments"), [(train, ["--method", "no-such-method"]), (eval_script, ["no-such-checkpoint.pt"])]
)
def test_both_scripts_keep_it(script: ModuleType, arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    for place in (engine.memory, script):  # where a script imports it as it starts, or when it is called
        monkeypatch.setattr(place, "keep_freed_memory", lambda: asked.append("yes"), raising=place is engine.memory)
    assert CliRunner().invoke(script.app, arguments).exit_code == 2
    assert asked == ["yes"]
