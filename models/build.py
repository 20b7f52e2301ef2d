"""From settings to a network. A new kind of autoencoder is one entry here.

Convolutions keep their weights channels-last, and so compute: a training step of the convolutional networks takes four
fifths to two thirds of the time (docs/benchmarks.md).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import nn

from models.autoencoder import Autoencoder, Coders, ImageShape
from models.conv import build_conv
from models.dense import build_dense
from models.pooled import build_pooled, code_shape
from models.settings import AutoencoderSettings
from models.vae import VAE
from models.vit import build_vit


class Builder(NamedTuple):
    """One kind of network.

    Attributes:
        coders: builds encoder and decoder from the settings, the images' shape and the encoder's number of outputs.
        latent: d, the size of z, from the settings and the images' shape.
    """

    coders: Callable[[Any, ImageShape, int], Coders]
    latent: Callable[[Any, ImageShape], int]


BUILDERS: dict[str, Builder] = {
    "conv": Builder(build_conv, lambda settings, shape: settings.latent),
    "dense": Builder(build_dense, lambda settings, shape: settings.latent),
    "pooled": Builder(build_pooled, lambda settings, shape: code_shape(settings, shape).pixels),
    "vit": Builder(build_vit, lambda settings, shape: settings.latent),
}


def latent_size(settings: AutoencoderSettings, shape: ImageShape) -> int:
    """d, the size of the latent z that the network gives for images of `shape`.

    Raises:
        ModelError: when the network does not fit the images.
    """
    return BUILDERS[settings.name].latent(settings, shape)


def build_autoencoder(settings: AutoencoderSettings, shape: ImageShape) -> Autoencoder:
    """The autoencoder that `settings` describe, for images of `shape`, with weights from torch's generator.

    Raises:
        ModelError: when the network does not fit the images.
    """
    coders = BUILDERS[settings.name].coders(settings, shape, latent_size(settings, shape))
    return Autoencoder(*coders).to(memory_format=torch.channels_last)


def build_encoder(settings: AutoencoderSettings, shape: ImageShape) -> nn.Sequential:
    """The encoder alone of the network that `settings` describe, (n, c, h, w) to (n, d).

    Raises:
        ModelError: when the network does not fit the images.
    """
    coders = BUILDERS[settings.name].coders(settings, shape, latent_size(settings, shape))
    return coders.encoder.to(memory_format=torch.channels_last)


def build_vae(settings: AutoencoderSettings, shape: ImageShape) -> VAE:
    """The variational autoencoder on the network that `settings` describe: its encoder gives μ and log σ².

    Raises:
        ModelError: when the network does not fit the images, or cannot be a variational autoencoder.
    """
    coders = BUILDERS[settings.name].coders(settings, shape, 2 * latent_size(settings, shape))
    return VAE(*coders).to(memory_format=torch.channels_last)
