"""Looking at a method without leaving a trace."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import nn

from methods.base import Method


@contextmanager
def undisturbed(method: Method) -> Iterator[None]:
    """Within, `method` is in evaluation mode. Afterwards its modes and all global random states are as before."""
    modules = list(method.modules()) if isinstance(method, nn.Module) else []
    modes = [module.training for module in modules]
    python_state, numpy_state = random.getstate(), np.random.get_state()  # noqa: NPY002
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        try:
            for module in modules:
                module.training = False
            yield
        finally:
            for module, mode in zip(modules, modes, strict=True):
                module.training = mode
            random.setstate(python_state)
            np.random.set_state(numpy_state)  # noqa: NPY002
