"""Shapes in signatures are checked while the tests run; without tests they cost nothing."""

from __future__ import annotations

import pytest
from hypothesis import settings
from jaxtyping import install_import_hook

PACKAGES = [
    "clusterers",
    "comparison",
    "data",
    "engine",
    "evaluation",
    "losses",
    "methods",
    "models",
    "monitoring",
    "representations",
    "storage",
]

# Before any test module imports them.
install_import_hook(PACKAGES, "beartype.beartype")


# A busy machine is no bug, and no test is timed.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    """Small tensors gain nothing from more, and threads that wait for busy cores cost much."""
    import torch

    # isort: split
    import faiss

    torch.set_num_threads(1)
    faiss.omp_set_num_threads(1)
