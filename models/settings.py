"""Settings of the networks."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from configs.schema import PositiveInt, Settings

DropoutRate = Annotated[float, Field(ge=0, lt=1)]

Output = Literal["linear", "sigmoid"]
"""The decoder's last layer: linear for pixels of any scale, sigmoid for pixels from 0 to 1."""

Init = Literal["he", "glorot", "uniform"]
"""First weights. he: before a ReLU as He et al. have them, so that an encoder's signals keep their size, elsewhere as
Glorot. glorot: uniform, Keras' default. uniform: within 1 / √fan-in, the default of torch and of DEC-keras."""


def _odd(kernel: int) -> int:
    if kernel % 2 == 0:
        raise ValueError(f"a kernel that keeps an image's size has an odd side; received {kernel}")
    return kernel


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
    taken_over = ("latent",)
    latent: PositiveInt = 10
    layers: Annotated[tuple[ConvLayer, ...], Field(min_length=1)] = (
        ConvLayer(channels=16, kernel=4),
        ConvLayer(channels=32, kernel=4),
        ConvLayer(channels=64, kernel=3),
    )
    hidden: tuple[PositiveInt, ...] = (256,)
    """Widths of dense layers between the last convolution and z."""
    batch_norm: bool = False
    """Between every layer and its ReLU; neither z nor the output is normalised."""
    init: Init = "he"
    output: Output = "linear"


class DenseSettings(Settings):
    """Dense autoencoder: 500-500-2000-10 is DEC's."""

    name: Literal["dense"] = "dense"
    taken_over = ("latent",)
    latent: PositiveInt = 10
    hidden: tuple[PositiveInt, ...] = (500, 500, 2000)
    batch_norm: bool = False
    """Between every hidden layer and its ReLU; neither z nor the output is normalised."""
    dropout: DropoutRate = 0.0
    """After every hidden layer's ReLU; neither z nor the output loses anything."""
    init: Init = "he"
    output: Output = "linear"


class PooledConvSettings(Settings):
    """Convolutional autoencoder with max-pooling, batch-norm and dropout; z is its last feature map, flattened."""

    name: Literal["pooled"] = "pooled"
    channels: Annotated[tuple[PositiveInt, ...], Field(min_length=2)] = (32, 16, 16)
    """Of the encoder's convolutions, with a pooling between any two; the last one's are those of z."""
    kernel: Annotated[PositiveInt, AfterValidator(_odd)] = 3
    dropout: DropoutRate = 0.2
    """After every ReLU, that of z included. Our choice: the report that the network is from gives no rate."""
    init: Init = "he"
    output: Output = "linear"


class ViTSettings(Settings):
    """Vision transformer: patches, layers of self-attention, z; back by a dense layer and fewer layers of attention."""

    name: Literal["vit"] = "vit"
    taken_over = ("latent",)
    latent: PositiveInt = 10
    patch: PositiveInt | None = None
    """Pixels of a patch's side. None: so many that a square image has about 8 patches a side, and 2 at least."""
    width: PositiveInt = 96
    """Of a patch's token."""
    depth: PositiveInt = 4
    """Layers of the encoder."""
    heads: PositiveInt = 4
    mlp_ratio: PositiveInt = 2
    """The width of the feed-forward part, in widths of a token."""
    pool: Literal["class", "mean"] = "class"
    """z is made from a token that is learned beside the patches, or from the mean over the patches."""
    decoder_depth: Annotated[int, Field(ge=0)] = 2
    """Layers of the decoder."""
    init: Init = "glorot"
    output: Output = "linear"

    @model_validator(mode="after")
    def _width_can_be_shared_out(self) -> ViTSettings:
        if self.width % self.heads or self.width % 4:
            raise ValueError(
                f"width {self.width} must be a multiple of heads ({self.heads}), which share it, and of 4 for the "
                "positions: sine and cosine of row and column"
            )
        return self


AutoencoderSettings = Annotated[
    ConvSettings | DenseSettings | PooledConvSettings | ViTSettings, Field(discriminator="name")
]


def dense_in_place_of(model: Settings) -> dict[str, Any]:
    """A dense network in place of another kind, for data that are no pictures: its latent and first weights stay."""
    kept = {name: getattr(model, name) for name in ("latent", "init") if hasattr(model, name)}
    return DenseSettings(**kept).model_dump(mode="json")
