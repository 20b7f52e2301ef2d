"""Pretraining of an autoencoder, a phase that many methods share."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from configs.schema import PretrainSettings
from data.augmentation import Augmentation
from losses.reconstruction import reconstruction_mse
from models.autoencoder import Autoencoder, ModelError
from models.normalise import Normalise
from models.settings import AutoencoderSettings
from parts.phases import Batch, GradientPhase, Objective, epochs_needed


class ReconstructionObjective(Objective):
    """Mean squared error between the decoder's output and the image, from a clean or a corrupted input.

    With masking noise it is the denoising autoencoder of Vincent et al., JMLR 2010, section 3.3.
    """

    def __init__(self, normalise: Normalise, autoencoder: Autoencoder, settings: PretrainSettings) -> None:
        super().__init__()
        self.normalise = normalise
        self.autoencoder = autoencoder
        self.augmentation = Augmentation(settings.augmentation)
        self.noise = settings.noise

    def forward(self, batch: Batch) -> dict[str, Float[Tensor, ""]]:
        pixels = self.augmentation(self.normalise.unit(batch.images), batch.noise)
        x = self.normalise.standardise(pixels)
        corrupted = x
        if self.noise > 0:
            kept = batch.noise.uniform(*x.shape[1:]) >= self.noise
            corrupted = x * kept  # the mean of normalised pixels is 0
        return {"loss": reconstruction_mse(self.autoencoder.decode(self.autoencoder.encode(corrupted)), x)}


def pretraining(
    normalise: Normalise,
    autoencoder: Autoencoder,
    settings: PretrainSettings,
    network: AutoencoderSettings,
    images: int,
) -> GradientPhase:
    """The phase that trains `autoencoder` on the reconstruction of so many `images`; `network` is what built it.

    Raises:
        ModelError: when the decoder's output cannot reach the pixels' scale.
    """
    if network.output == "sigmoid":
        require_unit_pixels(normalise, "model.output sigmoid")
    return GradientPhase(
        name="pretrain",
        module=ReconstructionObjective(normalise, autoencoder, settings),
        optimiser=settings.optimiser,
        epochs=epochs_needed(images, settings.batch_size, settings.epochs, settings.min_steps),
        batch_size=settings.batch_size,
        validates=True,
    )


def require_unit_pixels(normalise: Normalise, what: str) -> None:
    """Refuse pixels that do not run from 0 to 1, which `what` needs.

    Raises:
        ModelError: when `normalise` standardises.
    """
    if not normalise.is_identity:
        raise ModelError(
            f"{what} needs pixels from 0 to 1, but these are standardised and leave that range: use pixels unit, or "
            "what has no bounds (model.output linear, likelihood gaussian)."
        )
