"""The reconstruction loss of an autoencoder.

Source: Hinton, Salakhutdinov, "Reducing the Dimensionality of Data with Neural Networks", Science 2006;
as mean squared error in DEC (section 3.3) and IDEC (Guo et al., IJCAI 2017, eq. 8).
"""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional


def reconstruction_mse(reconstruction: Float[Tensor, "n ..."], target: Float[Tensor, "n ..."]) -> Float[Tensor, ""]:
    """Mean over images and pixels of the squared error, at least 0.

    The papers sum over pixels or take the mean, which changes what a weight beside it means: here it is
    always the mean, in the units of the network's input.
    """
    return functional.mse_loss(reconstruction, target)
