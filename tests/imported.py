"""What a run imports and looks up late, for processes that begin with it (`tests.forked`). Importing this does it."""

from __future__ import annotations

from importlib import import_module

from data.sources import load
from engine import sources

LATE = """
train eval compare explore
engine.fit report.scoring report.comparison.results report.tensorboard.page methods.resolve
lightning_fabric torch.distributed.nn torch.utils.tensorboard tensorboard.summary.writer.event_file_writer
sklearn.cluster sklearn.metrics sklearn.ensemble PIL.PngImagePlugin pytest
"""
for module in LATE.split():
    import_module(module)

load("digits")
sources._packages()
