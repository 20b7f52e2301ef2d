"""Encoders side by side.

Source: Lakshminarayanan, Pritzel, Blundell, "Simple and Scalable Predictive Uncertainty Estimation using Deep
Ensembles", NeurIPS 2017: networks that differ in their first weights alone err differently. Here it is their features
that are joined.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import normalize


class EncoderEnsemble(nn.Module):
    """All features of m encoders, each of the same length, all together of length 1.

    Args:
        encoders: m of them, each from images to (n, d).
    """

    def __init__(self, encoders: Sequence[nn.Module]) -> None:
        super().__init__()
        self.encoders = nn.ModuleList(encoders)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n md"]:
        features = [normalize(encoder(x), dim=1) for encoder in self.encoders]
        return torch.cat(features, dim=1) / math.sqrt(len(features))
