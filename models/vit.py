"""The vision transformer as an encoder, and a smaller one back from the latent to the patches of an image.

Sources: Dosovitskiy et al., "An Image is Worth 16x16 Words", ICLR 2021; layers that normalise first, as Xiong et al.,
"On Layer Normalization in the Transformer Architecture", ICML 2020; fixed positions as Chen, Xie, He, "An Empirical
Study of Training Self-Supervised Vision Transformers", ICCV 2021. The narrow feed-forward part is that of the small
networks of Hassani et al., "Escaping the Big Data Paradigm with Compact Transformers", 2021.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from einops import rearrange
from einops.layers.torch import Rearrange, Reduce
from jaxtyping import Float
from torch import Tensor, nn

from models.autoencoder import Coders, ImageShape, ModelError, initialise_weights, refuse_points
from models.settings import Init, ViTSettings

PATCHES_A_SIDE = 8
"""Of a square image, where no size of a patch is asked for."""
SMALLEST = 2
"""Pixels of a patch's side, where none is asked for: a single pixel says too little."""
LONGEST_PERIOD = 10_000.0
"""Of the positions' waves, as in Vaswani et al., "Attention Is All You Need", NeurIPS 2017, section 3.5."""
TOKEN_SD = 0.02
"""Of the class token at the start."""


class Patches(NamedTuple):
    """How an image is cut. The last patches of a row or a column may reach beyond it, where they are zero.

    Attributes:
        side: pixels.
        rows: of patches.
        columns: of patches.
    """

    side: int
    rows: int
    columns: int


def cut(patch: int | None, shape: ImageShape) -> Patches:
    """The patches of images of `shape`, of `patch` pixels or less a side.

    Where that does not divide the image, they are made smaller until the same number just covers it.

    Raises:
        ModelError: when a patch is larger than the image.
    """
    _, height, width = shape
    side = patch or max(SMALLEST, math.ceil(math.sqrt(height * width) / PATCHES_A_SIDE))
    if patch is not None and patch > min(height, width):
        raise ModelError(
            f"model.patch is {patch}, and images of {height}×{width} pixels have no patch of {patch}×{patch}: use "
            f"{min(height, width)} or less, or leave model.patch out."
        )
    rows, columns = math.ceil(height / side), math.ceil(width / side)
    return Patches(max(math.ceil(height / rows), math.ceil(width / columns)), rows, columns)


def build_vit(settings: ViTSettings, shape: ImageShape, outputs: int) -> Coders:
    """Encoder and decoder for images of `shape`; the encoder has so many `outputs`.

    Raises:
        ModelError: when a patch is larger than the image, or the data are points.
    """
    refuse_points(shape, "a vision transformer (model.name=vit)")
    patches, width = cut(settings.patch, shape), settings.width
    count, pixels = patches.rows * patches.columns, shape.channels * patches.side**2

    encoder = nn.Sequential(
        *to_patches(patches, shape),
        nn.Linear(pixels, width),
        Positions(patches, width),
        *([ClassToken(width)] if settings.pool == "class" else []),
        *_blocks(settings.depth, settings),
        nn.LayerNorm(width),
        FirstToken() if settings.pool == "class" else Reduce("n tokens width -> n width", "mean"),
        nn.Linear(width, outputs),
    )
    decoder = nn.Sequential(
        nn.Linear(settings.latent, count * width),
        Rearrange("n (tokens width) -> n tokens width", tokens=count),
        Positions(patches, width),
        *_blocks(settings.decoder_depth, settings),
        nn.LayerNorm(width),
        nn.Linear(width, pixels),
        *([nn.Sigmoid()] if settings.output == "sigmoid" else []),
        *to_pixels(patches, shape),
    )
    for network in (encoder, decoder):
        initialise_weights(network, settings.init)
    return Coders(encoder, decoder)


def to_patches(patches: Patches, shape: ImageShape) -> list[nn.Module]:
    """From images (n, c, h, w) to their patches (n, rows · columns, side · side · c), row by row."""
    flatten = Rearrange("n c (rows p) (columns q) -> n (rows columns) (p q c)", p=patches.side, q=patches.side)
    right, below = _beyond(patches, shape)
    return [nn.ZeroPad2d((0, right, 0, below)), flatten] if right or below else [flatten]


def to_pixels(patches: Patches, shape: ImageShape) -> list[nn.Module]:
    """From patches back to images."""
    side = patches.side
    unflatten = Rearrange("n (rows columns) (p q c) -> n c (rows p) (columns q)", rows=patches.rows, p=side, q=side)
    right, below = _beyond(patches, shape)
    return [unflatten, nn.ZeroPad2d((0, -right, 0, -below))] if right or below else [unflatten]


def _beyond(patches: Patches, shape: ImageShape) -> tuple[int, int]:
    """Pixels by which the last column and the last row reach beyond the image."""
    return patches.columns * patches.side - shape.width, patches.rows * patches.side - shape.height


def _blocks(depth: int, settings: ViTSettings) -> list[Block]:
    hidden = settings.mlp_ratio * settings.width
    return [Block(settings.width, settings.heads, hidden, settings.init) for _ in range(depth)]


class Block(nn.Module):
    """Self-attention, then a feed-forward part for every token; each reads normalised tokens and adds to the tokens.

    Args:
        width: of a token.
        heads: of the attention, each of width / heads.
        hidden: width inside the feed-forward part.
        init: of the weights.
    """

    def __init__(self, width: int, heads: int, hidden: int, init: Init) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(width)
        self.attention = nn.MultiheadAttention(width, heads, batch_first=True)
        self.mlp_norm = nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width))
        # What goes into the attention is Glorot's uniform by torch itself.
        initialise_weights(nn.Sequential(self.attention.out_proj), init)
        initialise_weights(self.mlp, init)

    def forward(self, tokens: Float[Tensor, "n t w"]) -> Float[Tensor, "n t w"]:
        y = self.attention_norm(tokens)
        attended, _ = self.attention(y, y, y, need_weights=False)
        tokens = tokens + attended
        out: Tensor = tokens + self.mlp(self.mlp_norm(tokens))
        return out

    def weights(self, tokens: Float[Tensor, "n t w"]) -> Float[Tensor, "n t t"]:
        """How much every token takes from every other, the mean over the heads; rows sum to 1."""
        y = self.attention_norm(tokens)
        weights: Tensor = self.attention(y, y, y)[1]
        return weights.float()


class Positions(nn.Module):
    """Adds to every patch's token where it stands.

    Args:
        patches: of an image.
        width: of a token.
    """

    table: Tensor

    def __init__(self, patches: Patches, width: int) -> None:
        super().__init__()
        self.patches = patches
        self.register_buffer("table", sine_positions(patches.rows, patches.columns, width), persistent=False)

    def forward(self, tokens: Float[Tensor, "n p w"]) -> Float[Tensor, "n p w"]:
        return tokens + self.table


def sine_positions(rows: int, columns: int, width: int) -> Float[Tensor, "p w"]:
    """Sine and cosine of the row, then of the column, at width / 4 wavelengths; row by row.

        sin(i ω_j), cos(i ω_j)   with   ω_j = 10000^(-4j / width)

    Args:
        rows: of patches.
        columns: of patches.
        width: divisible by 4.
    """
    quarter = width // 4
    frequencies = LONGEST_PERIOD ** (-torch.arange(quarter, dtype=torch.float64) / quarter)
    row, column = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
    places = torch.stack([row.flatten(), column.flatten()])
    angles = places.unsqueeze(2) * frequencies
    return rearrange(torch.stack([angles.sin(), angles.cos()]), "f a p q -> p (a f q)").float()


class ClassToken(nn.Module):
    """Puts a learned token before those of the patches."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.token = nn.Parameter(torch.randn(width) * TOKEN_SD)

    def forward(self, tokens: Float[Tensor, "n p w"]) -> Float[Tensor, "n p+1 w"]:
        # Not len(tokens), which would fix the number of images in an exported network.
        token = self.token.expand(tokens.shape[0], 1, -1)
        return torch.cat([token, tokens], dim=1)


class FirstToken(nn.Module):
    """The class token alone."""

    def forward(self, tokens: Float[Tensor, "n t w"]) -> Float[Tensor, "n w"]:
        return tokens[:, 0]
