"""Not too deep clustering (N2D): the manifold of an autoencoder's latents, unrolled, then a Gaussian mixture.

1. An autoencoder is trained on the reconstruction.
2. UMAP lays its latents out in as many dimensions as there are clusters.
3. A Gaussian mixture of that layout gives the clusters.

All three steps are parts of two-stage methods: N2D is `ae-umap-gmm` under its published name.

Source: McConville, Santos-Rodríguez, Piechocki, Craddock, "N2D: (Not Too) Deep Clustering via Clustering the Local
Manifold of an Autoencoded Embedding", ICPR 2020.
"""

from __future__ import annotations

from typing import Literal

from pydantic import model_validator

from methods.two_stage import TwoStage, TwoStageConfig

PARTS = "ae-umap-gmm"


class N2D(TwoStage):
    """N2D, as the top of this file describes it."""


class N2DConfig(TwoStageConfig):
    """Config of N2D: that of the two-stage method of its parts."""

    method: Literal["n2d"] = "n2d"

    @model_validator(mode="after")
    def _is_named_after_its_parts(self) -> N2DConfig:
        if self.parts != PARTS:
            raise ValueError(f"the method is called 'n2d', but its parts make it {self.parts!r}; name that one")
        return self
