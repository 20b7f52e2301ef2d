"""Where a run takes place: versions, commit, machine. Kept in the checkpoint beside its figures."""

from __future__ import annotations

import platform
import re
import subprocess
from importlib import metadata
from pathlib import Path

import torch

from configs.schema import RuntimeSettings

PACKAGES = (
    *("torch", "torchvision", "faiss-cpu", "scikit-learn", "scipy", "umap-learn", "numba", "numpy"),
    *("lightning-fabric",),
)
"""Whose versions a reader of a checkpoint looks for. Keys of phases find their packages by themselves."""
ROOT = Path(__file__).resolve().parent.parent

Description = dict[str, str | int]


def describe_environment(device: torch.device, processes: int, runtime: RuntimeSettings) -> Description:
    """Versions, commit and machine of this process, as plain strings and numbers."""
    versions = {name: _version(name) for name in PACKAGES}
    machine = describe_machine(device, processes, runtime)
    return {"python": platform.python_version(), **versions, "commit": git_commit(), **machine}


def describe_machine(device: torch.device, processes: int, runtime: RuntimeSettings) -> Description:
    """What the rounding of a computation depends on, besides the code and its versions."""
    return {
        "device": device_name(device),
        "threads": torch.get_num_threads(),
        "processes": processes,
        "system": f"{platform.system()} {platform.machine()}",
        "processor": processor_name(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "cuda": cuda_versions() if device.type == "cuda" else "none",
        "arithmetic": arithmetic(device, runtime),
    }


def arithmetic(device: torch.device, runtime: RuntimeSettings) -> str:
    """How the networks' products are made, in words for a table's notes."""
    if runtime.precision != "32-true":
        return f"precision {runtime.precision}"
    if device.type != "cuda":
        return "float32"
    return "float32, its products in TF32" if runtime.tf32 else "float32, its products too (no TF32)"


def cuda_versions() -> str:
    """Those of CUDA and cuDNN that torch was built with."""
    return f"{torch.version.cuda}, cuDNN {torch.backends.cudnn.version()}"  # type: ignore[no-untyped-call]


def processor_name() -> str:
    """The processor's model; where the system does not tell it, its architecture."""
    try:
        found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:
        found = None
    return found[1].strip() if found else platform.processor() or platform.machine()


def git_commit() -> str:
    """The checkout's commit, with "+changes" where tracked files differ from it; "unknown" outside git."""
    try:
        commit = _git("rev-parse", "HEAD")
        return commit + ("+changes" if _git("status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.SubprocessError):
        return "unknown"


def device_name(device: torch.device) -> str:
    """ "cpu", "mps", or the name of the CUDA device."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, text=True, check=True, timeout=10)
    return done.stdout.strip()


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"
