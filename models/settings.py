"""Settings of the networks."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from configs.schema import PositiveInt, Settings


class ConvLayer(Settings):
    """One strided convolution; the decoder mirrors it by a transposed one."""

    channels: PositiveInt
    kernel: PositiveInt
    stride: PositiveInt = 2
    padding: Annotated[int, Field(ge=0)] | None = None
    """None: so much that stride 2 halves an even side."""

    @property
    def pad(self) -> int:
        return (self.kernel - 1) // 2 if self.padding is None else self.padding


class ConvSettings(Settings):
    """Convolutional autoencoder: strided convolutions, dense layers, latent z, and the mirror image."""

    name: Literal["conv"] = "conv"
    latent: PositiveInt = 10
    layers: Annotated[tuple[ConvLayer, ...], Field(min_length=1)] = (
        ConvLayer(channels=16, kernel=4),
        ConvLayer(channels=32, kernel=4),
        ConvLayer(channels=64, kernel=3),
    )
    hidden: tuple[PositiveInt, ...] = (256,)
    """Widths of dense layers between the last convolution and z."""


class DenseSettings(Settings):
    """Dense autoencoder: 500-500-2000-10 is DEC's."""

    name: Literal["dense"] = "dense"
    latent: PositiveInt = 10
    hidden: tuple[PositiveInt, ...] = (500, 500, 2000)


AutoencoderSettings = Annotated[ConvSettings | DenseSettings, Field(discriminator="name")]
