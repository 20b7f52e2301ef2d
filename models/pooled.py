"""The convolutional autoencoder with pooling, batch-norm and dropout, whose code is a small feature map.

With 32, 16 and 16 channels it is the network of report E (configs/reports): convolutions of 3×3 to 32 – pool – 16 –
pool – 16, then upsample – 32 – upsample – 1; 12,577 parameters as Keras counts them, 192 running statistics included.
"""

from __future__ import annotations

from itertools import pairwise

from einops.layers.torch import Rearrange
from torch import nn

from models.autoencoder import Coders, ImageShape, ModelError, initialise_weights, refuse_points
from models.settings import PooledConvSettings


def build_pooled(settings: PooledConvSettings, shape: ImageShape, outputs: int) -> Coders:
    """Encoder and decoder for images of `shape`.

    Raises:
        ModelError: when a side is too small for the poolings, or `outputs` is not the size of the last feature map.
    """
    code = code_shape(settings, shape)
    if outputs != code.pixels:
        raise ModelError(
            f"the network 'pooled' codes an image as one feature map of {code.pixels} numbers and has no layer that "
            f"could give {outputs}, as a variational autoencoder needs: use model.name conv or dense."
        )
    encoder: list[nn.Module] = []
    for source, channels in pairwise((shape.channels, *settings.channels)):
        encoder += [*_block(source, channels, settings), nn.MaxPool2d(2)]
    encoder.pop()  # nothing is pooled after the last
    encoder.append(Rearrange("n c h w -> n (c h w)"))

    decoder: list[nn.Module] = [Rearrange("n (c h w) -> n c h w", c=code.channels, h=code.height, w=code.width)]
    larger_sides = feature_sides(settings, shape)[-2::-1]
    channels_back = (code.channels, *settings.channels[:-2][::-1], shape.channels)
    for side, (source, channels) in zip(larger_sides, pairwise(channels_back), strict=True):
        # To the exact size: pooling dropped the last row of an odd side.
        decoder += [nn.Upsample(size=side, mode="nearest"), *_block(source, channels, settings)]
    del decoder[-3:]  # pixels come from the convolution itself
    if settings.output == "sigmoid":
        decoder.append(nn.Sigmoid())

    coders = Coders(nn.Sequential(*encoder), nn.Sequential(*decoder))
    for network in coders:
        initialise_weights(network, settings.init)
    return coders


def code_shape(settings: PooledConvSettings, shape: ImageShape) -> ImageShape:
    """The shape of the last feature map, which is z.

    Raises:
        ModelError: when a side is too small for the poolings.
    """
    refuse_points(shape, "a convolutional network (model.name=pooled)")
    return ImageShape(settings.channels[-1], *feature_sides(settings, shape)[-1])


def feature_sides(settings: PooledConvSettings, shape: ImageShape) -> list[tuple[int, int]]:
    """Height and width at every convolution of the encoder, in order: each pooling halves them, rounding down.

    Raises:
        ModelError: when a side is too small for the poolings.
    """
    poolings = len(settings.channels) - 1
    if min(shape.height, shape.width) < 2**poolings:
        raise ModelError(
            f"images of {shape.height}×{shape.width} pixels are too small for this network: {poolings} poolings need "
            f"{2**poolings}×{2**poolings} at least. Use fewer model.channels, or larger images."
        )
    return [(shape.height >> level, shape.width >> level) for level in range(poolings + 1)]


def _block(source: int, channels: int, settings: PooledConvSettings) -> list[nn.Module]:
    """A convolution that keeps the size, batch-norm, ReLU and dropout."""
    return [
        nn.Conv2d(source, channels, settings.kernel, padding=settings.kernel // 2),
        nn.BatchNorm2d(channels),
        nn.ReLU(),
        nn.Dropout(settings.dropout),
    ]
