"""The dense autoencoder: 500-500-2000-10 is the network of DEC (Xie et al., ICML 2016, section 4.3)."""

from __future__ import annotations

from itertools import pairwise

from einops.layers.torch import Rearrange
from torch import nn

from models.autoencoder import Autoencoder, ImageShape, initialise_weights
from models.settings import DenseSettings


def build_dense(settings: DenseSettings, shape: ImageShape) -> Autoencoder:
    """The autoencoder for images of `shape`, which are flattened."""
    widths = (shape.pixels, *settings.hidden, settings.latent)
    encoder = nn.Sequential(Rearrange("n c h w -> n (c h w)"), *_linear_relu(widths))
    unflatten = Rearrange("n (c h w) -> n c h w", c=shape.channels, h=shape.height, w=shape.width)
    decoder = nn.Sequential(*_linear_relu(widths[::-1]), unflatten)
    for network in (encoder, decoder):
        initialise_weights(network)
    return Autoencoder(encoder, decoder)


def _linear_relu(widths: tuple[int, ...]) -> list[nn.Module]:
    """Linear layers from width to width with ReLU between them, the last one linear."""
    layers: list[nn.Module] = []
    for source, target in pairwise(widths):
        layers += [nn.Linear(source, target), nn.ReLU()]
    return layers[:-1]
