"""From settings to a network. A new kind of autoencoder is one entry here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from models.autoencoder import Autoencoder, ImageShape
from models.conv import build_conv
from models.dense import build_dense
from models.settings import AutoencoderSettings

BUILDERS: dict[str, Callable[[Any, ImageShape], Autoencoder]] = {
    "conv": build_conv,
    "dense": build_dense,
}


def build_autoencoder(settings: AutoencoderSettings, shape: ImageShape) -> Autoencoder:
    """The autoencoder that `settings` describe, for images of `shape`, with weights from torch's generator.

    Raises:
        ModelError: when the network does not fit the images.
    """
    return BUILDERS[settings.name](settings, shape)
