"""What the configs of methods have in common whose encoder learns from pairs of views, or was trained by others."""

from __future__ import annotations

from typing import Self

from pydantic import model_validator

from methods.joint import JointConfig
from models.settings import AutoencoderSettings
from parts.backbones import ContrastiveStageSettings
from parts.contrastive_pretraining import ContrastivePretrainSettings
from parts.pretraining_settings import PretrainingSettings
from parts.size_prior import SizePriorSettings


class ContrastiveConfig(JointConfig):
    """An encoder that is trained on pairs of views, or by others, before there are clusters."""

    model: AutoencoderSettings = ContrastiveStageSettings().model
    pretrain: PretrainingSettings = ContrastivePretrainSettings()
    """objective frozen: the feature of a network that others trained, in place of one that is trained here."""


class SizePriorConfig(ContrastiveConfig):
    """The same, with clusters whose sizes are held to a prior."""

    cluster: SizePriorSettings = SizePriorSettings()

    @model_validator(mode="after")
    def _the_prior_has_k_shares(self) -> Self:
        self.cluster.check_shares(self.clusters)
        return self
