"""Which patches of an image a vision transformer's answer comes from, by attention rollout.

Source: Abnar, Zuidema, "Quantifying Attention Flow in Transformers", ACL 2020, section 3.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from models.vit import Block, ClassToken, Positions


def has_attention(network: nn.Module) -> bool:
    """Whether `attention_maps` knows how the network attends."""
    return any(isinstance(layer, Block) for layer in network.children())


def attention_maps(encoder: nn.Module, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n rows columns"]:
    """The share of every patch in the class token or, without one, in the mean of the tokens; each map sums to 1.

    What the class token keeps of itself is left out.

    Args:
        encoder: by `build_vit`.
        x: normalised images.
    """
    weights = []
    tokens: Tensor = x
    for layer in encoder.children():
        if isinstance(layer, Block):
            weights.append(layer.weights(tokens))
        tokens = layer(tokens)
    paths = rollout(weights)
    has_token = any(isinstance(layer, ClassToken) for layer in encoder.children())
    shares = paths[:, 0, 1:] if has_token else paths.mean(dim=1)
    patches = next(layer.patches for layer in encoder.children() if isinstance(layer, Positions))
    return rearrange(shares / shares.sum(dim=1, keepdim=True), "n (r c) -> n r c", r=patches.rows)


def rollout(layers: Sequence[Float[Tensor, "n t t"]]) -> Float[Tensor, "n t t"]:
    """How much of every token at the input is in every token at the output; rows sum to 1.

        R = Ã_L ⋯ Ã_1   with   Ã = (A + I) / 2,

    where A is a layer's attention, the mean over its heads, and I stands for what passes it by.

    Args:
        layers: A of every layer, the first one first.
    """
    paths = torch.eye(layers[0].shape[1], device=layers[0].device).expand_as(layers[0])
    for attention in layers:
        # The identity's half without a matrix of its own.
        paths = (attention @ paths + paths) / 2
    return paths
