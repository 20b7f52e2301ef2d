"""The peak of memory is this process's own."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from engine.memory import peak_memory
from tests.runs import ROOT

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
