"""How much memory a run has needed."""

from __future__ import annotations

import sys

import torch


def peak_memory(device: torch.device) -> float:
    """The most that this process has held so far, in MiB: of the GPU on CUDA, else of the machine. 0 where unknown."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    if sys.platform == "win32":
        return 0.0
    import resource  # not on Windows

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10  # bytes there, KiB elsewhere
