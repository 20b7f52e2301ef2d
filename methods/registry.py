"""`METHODS`: what `--method NAME` can be. A new method is one file and one entry here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from configs.schema import RunConfig
from methods.base import Method
from methods.dec import DEC, DECConfig
from models.autoencoder import ImageShape


@dataclass(frozen=True)
class MethodEntry:
    """How a method is configured and built.

    Attributes:
        config: the schema of its config.
        build: from such a config and the images' shape.
    """

    config: type[RunConfig]
    build: Callable[[Any, ImageShape], Method]


METHODS: dict[str, MethodEntry] = {
    "dec": MethodEntry(DECConfig, DEC),
}
