"""A pretrained network for tests: a small architecture of torchvision with seeded weights, in a temporary folder."""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path

import numpy as np
import torch

from system.atomic import write_atomically

NAME = "shufflenet_v2_x0_5"
SIZE = 32


@functools.cache
def tiny_weights() -> Path:
    """A file of its weights, the same in every process."""
    file = Path(tempfile.gettempdir()) / f"deep-clustering-tests-{NAME}.pt"
    if not file.is_file():
        from torchvision import models

        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            network = models.get_model(NAME, weights=None)
        write_atomically(file, lambda stream: torch.save(network.state_dict(), stream))
    return file


def tiny_network() -> list[str]:
    """Settings of it, each below the section of a frozen network."""
    return [f"model=torchvision:{NAME}", f"weights={tiny_weights()}", f"size={SIZE}"]


def tiny_network_yaml() -> str:
    """The same as YAML, for within braces."""
    return ", ".join(": ".join((name, f"'{value}'" if name != "size" else value)) for name, value in (
        setting.split("=", 1) for setting in tiny_network()
    ))  # fmt: skip


@functools.cache
def feature_file(rows: int) -> Path:
    """A file of as many features, (rows, 6), the same in every process."""
    file = Path(tempfile.gettempdir()) / f"deep-clustering-tests-features-{rows}.npy"
    if not file.is_file():
        features = torch.randn(rows, 6, generator=torch.Generator().manual_seed(0)).numpy()
        write_atomically(file, lambda stream: np.save(stream, features))
    return file
