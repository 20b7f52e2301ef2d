"""Layer-wise pretraining of a dense autoencoder, before the whole is trained.

Sources: Vincent et al., "Stacked Denoising Autoencoders", JMLR 2010; as DEC uses it: Xie, Girshick, Farhadi,
ICML 2016, section 3.4.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from configs.schema import PretrainSettings
from losses.reconstruction import reconstruction_mse
from models.autoencoder import Autoencoder, ModelError
from models.normalise import Normalise
from models.settings import AutoencoderSettings, DenseSettings
from parts.phases import Batch, GradientPhase, Objective, epochs_needed


class LayerObjective(Objective):
    """One layer of the encoder and its mirror image in the decoder, as a denoising autoencoder of two layers.

        h = g1(W1 drop(x) + b1),  y = g2(W2 drop(h) + b2),  loss = mean of (y - x)^2     (DEC, eqs. 7 to 10)

    x is what the layers before make of the image, without noise. g1 and g2 are the activations that follow the layer
    and its mirror image in the autoencoder: both ReLU, except that z and the image are linear.

    Args:
        normalise: pixels.
        below: the encoder's layers before this one; not trained.
        layer: this one, with its activation.
        mirror: the decoder's that undoes it, with its activation.
        rate: of dropout.
    """

    def __init__(
        self, normalise: Normalise, below: nn.Sequential, layer: nn.Sequential, mirror: nn.Sequential, rate: float
    ) -> None:
        super().__init__()
        self.normalise = normalise
        self.layer = layer
        self.mirror = mirror
        self.drop = nn.Dropout(rate)
        self._below = [below]  # in a list: no part of what this phase trains and keeps

    def forward(self, batch: Batch) -> dict[str, Float[Tensor, ""]]:
        with torch.no_grad():
            x = self._below[0](self.normalise(batch.images))
        h = self.layer(self.drop(x))
        y = self.mirror(self.drop(h))
        return {"loss": reconstruction_mse(y.flatten(1), x.flatten(1))}


def greedy_pretraining(
    normalise: Normalise,
    autoencoder: Autoencoder,
    settings: PretrainSettings,
    network: AutoencoderSettings,
    images: int,
) -> Sequence[GradientPhase]:
    """A phase for every layer, from the pixels to z; none where `settings` do not ask for them.

    Raises:
        ModelError: when the network has layers that are not dense.
    """
    greedy = settings.greedy
    if greedy is None:
        return ()
    if not isinstance(network, DenseSettings):
        raise ModelError(
            f"pretrain.greedy trains dense layers one by one, and model.name is {network.name}: use a dense network "
            "or leave pretrain.greedy out."
        )
    encoder, decoder = _layers(autoencoder.encoder), _layers(autoencoder.decoder)
    below = nn.Sequential()
    phases = []
    for depth, (layer, mirror) in enumerate(zip(encoder, reversed(decoder), strict=True), start=1):
        phases.append(
            GradientPhase(
                name=f"pretrain-layer-{depth}",
                module=LayerObjective(normalise, nn.Sequential(*below), layer, mirror, greedy.dropout),
                optimiser=greedy.optimiser,
                epochs=epochs_needed(images, settings.batch_size, greedy.epochs, 0),
                batch_size=settings.batch_size,
            )
        )
        below = nn.Sequential(*below, layer)
    return phases


def _layers(network: nn.Module) -> list[nn.Sequential]:
    """The network cut before every linear layer but the first; reshapes stay with the layer beside them."""
    layers: list[list[nn.Module]] = [[]]
    for module in network.children():
        if isinstance(module, nn.Linear) and any(isinstance(m, nn.Linear) for m in layers[-1]):
            layers.append([])
        layers[-1].append(module)
    return [nn.Sequential(*layer) for layer in layers]
