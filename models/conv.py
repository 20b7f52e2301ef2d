"""The convolutional autoencoder, for images of any size that its strides can halve.

With layers 5-32, 5-64, 3-128 (stride 2, the last without padding) and no hidden layer it is the network of DCEC:
Guo, Liu, Zhu, Yin, "Deep Clustering with Convolutional Autoencoders", ICONIP 2017, section 3.
"""

from __future__ import annotations

from itertools import pairwise

from einops.layers.torch import Rearrange
from torch import nn

from models.autoencoder import Coders, ImageShape, ModelError, initialise_weights, refuse_points
from models.settings import ConvLayer, ConvSettings


def build_conv(settings: ConvSettings, shape: ImageShape, outputs: int) -> Coders:
    """Encoder and decoder for images of `shape`; the encoder has so many `outputs`.

    Raises:
        ModelError: when a side is too small for the layers, or the data are no pictures.
    """
    refuse_points(shape, "a convolutional network (model.name=conv)")
    shapes = feature_shapes(settings.layers, shape)
    last = shapes[-1]
    widths = (last.pixels, *settings.hidden)

    encoder: list[nn.Module] = []
    for layer, source in zip(settings.layers, shapes[:-1], strict=True):
        conv = nn.Conv2d(source.channels, layer.channels, layer.kernel, layer.stride, layer.pad)
        encoder += [conv, *_activation(nn.BatchNorm2d(layer.channels), settings)]
    encoder.append(Rearrange("n c h w -> n (c h w)"))
    for source_width, width in pairwise(widths):
        encoder += [nn.Linear(source_width, width), *_activation(nn.BatchNorm1d(width), settings)]
    encoder.append(nn.Linear(widths[-1], outputs))

    decoder: list[nn.Module] = []
    for source_width, width in pairwise((settings.latent, *widths[::-1])):
        decoder += [nn.Linear(source_width, width), *_activation(nn.BatchNorm1d(width), settings)]
    decoder.append(Rearrange("n (c h w) -> n c h w", c=last.channels, h=last.height, w=last.width))
    *inner, (layer, target, source) = zip(settings.layers[::-1], shapes[-2::-1], shapes[:0:-1], strict=True)
    for inner_layer, inner_target, inner_source in inner:
        normalisation = nn.BatchNorm2d(inner_target.channels)
        decoder += [_transposed(inner_layer, inner_source, inner_target), *_activation(normalisation, settings)]
    decoder.append(_transposed(layer, source, target))
    if settings.output == "sigmoid":
        decoder.append(nn.Sigmoid())

    return Coders(_initialised(encoder, settings), _initialised(decoder, settings))


def _activation(normalisation: nn.Module, settings: ConvSettings) -> list[nn.Module]:
    return [normalisation, nn.ReLU()] if settings.batch_norm else [nn.ReLU()]


def feature_shapes(layers: tuple[ConvLayer, ...], shape: ImageShape) -> list[ImageShape]:
    """The image's shape and that of every layer's output, in order."""
    shapes = [shape]
    for position, layer in enumerate(layers):
        height, width = ((side + 2 * layer.pad - layer.kernel) // layer.stride + 1 for side in shapes[-1][1:])
        if height < 1 or width < 1:
            raise ModelError(
                f"images of {shape.height}×{shape.width} pixels are too small for this network: layer "
                f"{position + 1} "
                f"(kernel {layer.kernel}, stride {layer.stride}, padding {layer.pad}) would receive "
                f"{shapes[-1].height}×{shapes[-1].width}. Use fewer layers, smaller kernels or more "
                "padding in model.layers, or larger images."
            )
        shapes.append(ImageShape(layer.channels, height, width))
    return shapes


def _transposed(layer: ConvLayer, source: ImageShape, target: ImageShape) -> nn.ConvTranspose2d:
    """The transposed convolution from `source` to exactly `target`."""
    # A convolution rounds down, (side + 2p - k) = (out - 1) s + rest; the rest comes back as output padding.
    height, width = (
        side - ((out - 1) * layer.stride - 2 * layer.pad + layer.kernel)
        for side, out in zip(target[1:], source[1:], strict=True)
    )
    return nn.ConvTranspose2d(
        source.channels, target.channels, layer.kernel, layer.stride, layer.pad, output_padding=(height, width)
    )


def _initialised(modules: list[nn.Module], settings: ConvSettings) -> nn.Sequential:
    network = nn.Sequential(*modules)
    initialise_weights(network, settings.init)
    return network
