"""UMAP's layout of what an encoder makes of the images: a resting latent in which groups lie apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from jaxtyping import Float, Num
from torch import Tensor, nn

from estimators.settings import UMAPSettings
from estimators.umap import UMAP
from parts.backbone import Backbone, RestingBackbone
from parts.fit_to_points import fit_to_points
from parts.phases import Compute, FitPhase, Phase
from parts.seen_images import SeenImages


class LaidOut(RestingBackbone):
    """The places of images in UMAP's layout of another backbone's latents. New images lie among their neighbours.

    Args:
        inner: trained by its own phases; it rests from then on.
        settings: of the layout.
        seed: of the layout.
    """

    name = "umap"
    space = "UMAP"
    refusal = "a layout by UMAP is not trained: set layout to null, or take a method whose encoder rests."

    def __init__(self, inner: Backbone, settings: UMAPSettings, seed: int) -> None:
        super().__init__(inner.shape, settings.components)
        self.inner, self.seed = inner, seed
        self.umap, self.seen = UMAP(settings), SeenImages()

    def take_names(self, names: Sequence[str]) -> None:
        self.inner.take_names(names)

    def phases(self, images: Num[Tensor, "n c h w"], compute: Compute) -> Sequence[Phase]:
        """Those of the encoder. represent-umap: the layout. represent-places: every training image keeps its own."""
        inner, umap, seen = self.inner, self.umap, self.seen

        def remember() -> None:
            seen.remember(images, umap.transform(inner.points(images, compute)))

        fit = fit_to_points(umap, partial(umap.fit, seed=self.seed), inner, (), images, compute)
        return (
            *inner.phases(images, compute),
            FitPhase("represent-umap", umap, fit),
            FitPhase("represent-places", seen, remember),
        )

    def points(self, images: Num[Tensor, "n c h w"], compute: Compute) -> Float[Tensor, "n d"]:
        return self.seen.arrays["places"]

    def embed(self, images: Num[Tensor, "n c h w"]) -> Float[Tensor, "n d"]:
        """The places of any images, on the CPU; before there is a layout, the latents."""
        latents = self.inner.embed(images)
        return self.seen.recall(images, self.umap.transform(latents)) if self.umap.is_fitted else latents

    def encode(self, images: Num[Tensor, "n c h w"]) -> Float[Tensor, "n d"]:
        return self.umap.transform(self.inner.encode(images))

    def networks(self) -> Mapping[str, nn.Module]:
        return self.inner.networks()

    @property
    def encoder(self) -> nn.Module:
        return self.inner.encoder

    @property
    def has_attention(self) -> bool:
        return self.inner.has_attention

    def attention(self, images: Num[Tensor, "n c h w"]) -> Float[Tensor, "n rows columns"]:
        return self.inner.attention(images)

    @property
    def beyond_its_network(self) -> str:
        return "a layout by UMAP, in which new images lie among their neighbours: train with layout=null"

    @property
    def kept_features(self) -> tuple[SeenImages, ...]:
        return self.inner.kept_features

    @property
    def pretrained_on(self) -> str | None:
        return self.inner.pretrained_on

    @property
    def notes(self) -> tuple[str, ...]:
        return (*self.inner.notes, *self.umap.notes)
