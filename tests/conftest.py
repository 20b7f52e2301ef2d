"""Shapes in signatures are checked while the tests run; without tests they cost nothing."""

from __future__ import annotations

import pytest
from jaxtyping import install_import_hook

PACKAGES = ["clusterers", "data", "engine", "evaluation", "losses", "methods", "models", "monitoring"]

# Before any test module imports them.
install_import_hook(PACKAGES, "beartype.beartype")


@pytest.fixture(autouse=True, scope="session")
def two_threads() -> None:
    """Small tensors gain nothing from more, and the tests must not fight over the cores."""
    import torch

    torch.set_num_threads(2)
