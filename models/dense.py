"""The dense autoencoder: 500-500-2000-10 is the network of DEC (Xie et al., ICML 2016, section 4.3)."""

from __future__ import annotations

from itertools import pairwise

from einops.layers.torch import Rearrange
from torch import nn

from models.autoencoder import Coders, ImageShape, initialise_weights
from models.settings import DenseSettings


def build_dense(settings: DenseSettings, shape: ImageShape, outputs: int) -> Coders:
    """Encoder and decoder for images of `shape`, which are flattened; the encoder has so many `outputs`."""
    widths = (shape.pixels, *settings.hidden)
    encoder = nn.Sequential(Rearrange("n c h w -> n (c h w)"), *_layers((*widths, outputs), settings))
    unflatten = Rearrange("n (c h w) -> n c h w", c=shape.channels, h=shape.height, w=shape.width)
    squash = [nn.Sigmoid()] if settings.output == "sigmoid" else []
    decoder = nn.Sequential(*_layers((settings.latent, *widths[::-1]), settings), *squash, unflatten)
    for network in (encoder, decoder):
        initialise_weights(network, settings.init)
    return Coders(encoder, decoder)


def _layers(widths: tuple[int, ...], settings: DenseSettings) -> list[nn.Module]:
    """Linear layers from width to width; after all but the last batch-norm, where it is wanted, ReLU and dropout."""
    *hidden, (source, target) = pairwise(widths)
    layers: list[nn.Module] = []
    for before, width in hidden:
        layers.append(nn.Linear(before, width))
        if settings.batch_norm:
            layers.append(nn.BatchNorm1d(width))
        layers.append(nn.ReLU())
        if settings.dropout > 0:
            layers.append(nn.Dropout(settings.dropout))
    return [*layers, nn.Linear(source, target)]
