"""How much memory a run has needed, and what becomes of what it frees."""

from __future__ import annotations

import ctypes
import re
import sys
from pathlib import Path

import torch

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""mallopt's names for the two limits (malloc.h of glibc)."""

KEPT = 256 * 2**20
"""Bytes of freed memory that stay with the process; what is freed beyond goes back to the system."""

SINGLE = 32 * 2**20
"""Allocations from so many bytes on are mapped each by itself and given back as a whole, glibc's own upper bound."""


def keep_freed_memory() -> None:
    """Let this process use memory again that it has freed, where it runs on glibc; elsewhere nothing changes.

    A training step frees its activations and asks for as many a moment later. glibc's defaults hand most of them back
    to the system in between, which must then clear every page anew. No number in any result hangs on it.
    """
    if sys.platform != "linux":
        return
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except AttributeError:  # another C library, as musl
        return
    # Both or neither: the first alone freezes the second at 128 KiB, below every activation.
    mallopt(M_MMAP_THRESHOLD, SINGLE)
    mallopt(M_TRIM_THRESHOLD, KEPT)


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
