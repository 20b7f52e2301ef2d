"""What methods have in common whose encoder learns from pairs of views, or was trained by others: configs and heads."""

from __future__ import annotations

from typing import Generic, Self, TypeVar

from jaxtyping import Float
from pydantic import model_validator
from torch import Tensor, nn

from methods.joint import JointConfig, SoftAssignments
from models.autoencoder import ImageShape
from models.settings import AutoencoderSettings
from parts.backbones import ContrastiveStageSettings
from parts.contrastive_pretraining import ContrastivePretrainSettings
from parts.free_sizes import FreeSizes
from parts.neighbourhood import Neighbourhood
from parts.pretraining_settings import PretrainingSettings
from parts.size_prior import SizePriorSettings

Heads = TypeVar("Heads", bound=nn.Module)


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


class NeighbourHeads(SoftAssignments, Generic[Heads]):
    """Heads that learn from neighbours in a feature, under a prior of the cluster sizes. One of them answers.

    Args:
        config: of the run.
        shape: of the images.
        power: of the walks, see `Neighbourhood`.

    Attributes:
        head: the one that answers. Methods place it.

    Raises:
        ModelError: when the network does not fit the images, or one of others is not to be had.
    """

    head: Heads

    def __init__(self, config: SizePriorConfig, shape: ImageShape, power: float = 0.0) -> None:
        super().__init__(config, shape)
        self._sizes = config.cluster
        self.neighbourhood = Neighbourhood(power)
        self.free_sizes = FreeSizes()

    @property
    def notes(self) -> tuple[str, ...]:
        sizes = self.free_sizes.notes(self._sizes, self.clusters)
        return (*super().notes, *self.neighbourhood.notes, *sizes)

    @property
    def space(self) -> str:
        return f"feature ({self.dimensions}-d)"

    def soft(self, z: Float[Tensor, "n d"]) -> Float[Tensor, "n k"]:
        """The head's probabilities."""
        log_p: Tensor = self.head(z)[0]
        return log_p.exp()
