"""An autoencoder: an encoder to z, a decoder back, on normalised images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor, nn

from models.settings import Init


class ImageShape(NamedTuple):
    """Channels, height and width of one image."""

    channels: int
    height: int
    width: int

    @property
    def pixels(self) -> int:
        """All values of one image, c·h·w."""
        return self.channels * self.height * self.width

    @property
    def is_point(self) -> bool:
        """Whether these are the d numbers of a point, (d, 1, 1), and no picture."""
        return False


class PointShape(ImageShape):
    """d channels of one pixel: a point, which goes the ways of a picture and is none."""

    @property
    def is_point(self) -> bool:
        return True


def shape_of(sides: Sequence[int], points: bool) -> ImageShape:
    """The shape of an image with these channels, height and width, or of a point."""
    return (PointShape if points else ImageShape)(*sides)


class ModelError(Exception):
    """A network that cannot be built for these images. The message is for the person who configured it."""


def refuse_points(shape: ImageShape, what: str) -> None:
    """Refuse data that are no pictures.

    Args:
        shape: of the data.
        what: needs pictures, for the message.

    Raises:
        ModelError: when they are points.
    """
    if shape.is_point:
        raise ModelError(
            f"{what} needs pictures, and the data are points of {shape.channels:,} numbers. Points can be clustered by "
            "raw-kmeans and the like, by dec and its kin on a dense network (model.name=dense), and by temi, turtle, "
            "pace and scan on the points themselves (pretrain.objective=given)."
        )


class Coders(NamedTuple):
    """Two networks that fit together.

    Attributes:
        encoder: (n, c, h, w) to (n, e).
        decoder: (n, d) to (n, c, h, w).
    """

    encoder: nn.Sequential
    decoder: nn.Sequential


class Autoencoder(nn.Module):
    """Encoder and decoder, of any kind that fits together.

    Args:
        encoder: (n, c, h, w) to (n, d).
        decoder: (n, d) to (n, c, h, w), in the scale of the encoder's input.
    """

    def __init__(self, encoder: nn.Module, decoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder

    def encode(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d"]:
        """The latent z of normalised images."""
        z: Tensor = self.encoder(x)
        return z

    def decode(self, z: Float[Tensor, "n d"]) -> Float[Tensor, "n c h w"]:
        """The reconstruction, in the scale of the normalised images."""
        x: Tensor = self.decoder(z)
        return x


BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)


def initialise_weights(network: nn.Sequential, init: Init) -> None:
    """First weights by torch's generator.

    "he": He's normal before each ReLU or GELU, Glorot's normal where the output is linear, biases zero; signals keep
    their size in an encoder. "glorot": Glorot's uniform, biases zero, as Keras has it. "uniform": weights and biases
    within ±1 / √fan-in, torch's own default, which shrinks a signal by about 0.6 a layer in a network without
    batch-norm.

    Inputs are counted as torch counts them, which takes a transposed convolution for a plain one turned round: out·k²,
    where an output sums in·k²/s² on average. A decoder so begins with outputs of a third of its signals' size. The
    right count ends with a higher error on images held out, so that torch's stays (docs/dec-defaults.md).

    Sources: He et al., "Delving Deep into Rectifiers", ICCV 2015; Glorot, Bengio, AISTATS 2010.
    """
    modules = list(network)
    for position, module in enumerate(modules):
        if not isinstance(module, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
            continue
        if init == "uniform":
            module.reset_parameters()
            continue
        # Batch-norm in between changes the scale, not what follows.
        following = next((m for m in modules[position + 1 :] if not isinstance(m, BATCH_NORMS)), None)
        if init == "glorot":
            nn.init.xavier_uniform_(module.weight)
        elif isinstance(following, nn.ReLU | nn.GELU):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        else:
            nn.init.xavier_normal_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
