"""What methods have in common whose clusters are trained on the feature of an encoder that rests."""

from __future__ import annotations

from methods.joint import JointConfig
from models.settings import AutoencoderSettings
from parts.backbones import ContrastiveStageSettings
from parts.contrastive_pretraining import ContrastivePretrainSettings
from parts.pretraining_settings import PretrainingSettings


class RestingConfig(JointConfig):
    """An encoder that is trained on pairs of views, or by others, before the clusters."""

    model: AutoencoderSettings = ContrastiveStageSettings().model
    pretrain: PretrainingSettings = ContrastivePretrainSettings()
    """objective frozen: the feature of a network that others trained, in place of one that is trained here."""
