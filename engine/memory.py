"""How much memory a run has needed."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import torch


def peak_memory(device: torch.device) -> float:
    """The most that this process has held so far, in MiB: of the GPU on CUDA, else of the machine. 0 where unknown."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    if sys.platform == "win32":
        return 0.0
    status = Path("/proc/self/status")
    if status.exists():
        # Linux's own getrusage counts what the process that started this one held as well.
        peak = re.search(r"^VmHWM:\s*(\d+) kB$", status.read_text(), re.MULTILINE)
        return int(peak[1]) / 2**10 if peak else 0.0
    import resource  # not on Windows

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20  # bytes on macOS
