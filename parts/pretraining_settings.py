"""The section `pretrain` of joint methods: the ways to a network that they stand on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Discriminator, Tag

from configs.schema import PretrainSettings
from parts.contrastive_pretraining import ContrastivePretrainSettings
from parts.feature_backbone import FeaturesPretrainSettings
from parts.frozen_backbone import FrozenPretrainSettings
from parts.given_points import GivenPretrainSettings
from parts.vae_pretraining import VAEPretrainSettings


def objective_of(value: Any) -> str:
    """Which pretraining a section of a config is; reconstruction where it does not say."""
    found = value.get("objective") if isinstance(value, Mapping) else getattr(value, "objective", None)
    return str(found or "reconstruction")


PretrainingSettings = Annotated[
    Annotated[PretrainSettings, Tag("reconstruction")]
    | Annotated[VAEPretrainSettings, Tag("elbo")]
    | Annotated[ContrastivePretrainSettings, Tag("contrastive")]
    | Annotated[FrozenPretrainSettings, Tag("frozen")]
    | Annotated[FeaturesPretrainSettings, Tag("features")]
    | Annotated[GivenPretrainSettings, Tag("given")],
    Discriminator(objective_of),
]
"""`pretrain.objective` says which network a deep method stands on: reconstruction an autoencoder, elbo a VAE,
contrastive an encoder alone, frozen a network that others trained, features a file of what one has computed, given
none: points are their own feature."""
