"""Shapes in signatures are checked while the tests run; without tests they cost nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import settings
from jaxtyping import install_import_hook

# What a checked module imports first is compiled anew, not taken from Python's cache, since the hook has a cache of its
# own. So what is large comes before it; torch precedes faiss, as everywhere.
# isort: off
import torch
import faiss
import lightning_fabric
import matplotlib.figure
import rich.console
import scipy.cluster.hierarchy
import scipy.stats
import sklearn.decomposition
import sklearn.manifold
import sklearn.metrics
import typer
# isort: on

UNCHECKED = {"benchmarks", "configs", "tests"}
ROOT = Path(__file__).resolve().parent.parent
PACKAGES = sorted({file.parent.name for file in ROOT.glob("*/__init__.py")} - UNCHECKED)

# Before any test module imports them.
install_import_hook(PACKAGES, "beartype.beartype")


# A busy machine is no bug, and no test is timed.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    """Small tensors gain nothing from more, and threads that wait for busy cores cost much."""
    torch.set_num_threads(1)
    faiss.omp_set_num_threads(1)
