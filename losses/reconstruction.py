"""Reconstruction losses of autoencoders.

Sources: Hinton, Salakhutdinov, "Reducing the Dimensionality of Data with Neural Networks", Science 2006; as mean
squared error in DEC (section 3.3) and IDEC (Guo et al., IJCAI 2017, eq. 8). The negative log-likelihoods are those of
Kingma, Welling, "Auto-Encoding Variational Bayes", ICLR 2014, appendix C.
"""

from __future__ import annotations

import math

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from losses.precision import in_full_precision


@in_full_precision
def reconstruction_mse(reconstruction: Float[Tensor, "n ..."], target: Float[Tensor, "n ..."]) -> Float[Tensor, ""]:
    """Mean over images and pixels of the squared error, at least 0.

    The papers sum over pixels or take the mean, which changes what a weight beside it means: here it is
    always the mean, in the units of the network's input.
    """
    return functional.mse_loss(reconstruction, target)


@in_full_precision
def bernoulli_nll(logits: Float[Tensor, "n ..."], target: Float[Tensor, "n ..."]) -> Float[Tensor, ""]:
    """Mean over images of -log p(x), summed over pixels, in nats, where each pixel is Bernoulli of mean sigmoid(logit).

        -log p(x) = -sum_i (x_i log y_i + (1 - x_i) log(1 - y_i)),   y = sigmoid(logits)     (appendix C.1)

    Args:
        logits: of the pixels' means.
        target: pixels from 0 to 1. Grey ones are common practice, though p is then no density (Loaiza-Ganem,
            Cunningham, "The continuous Bernoulli", NeurIPS 2019): compare it with itself alone. The best value is
            the pixels' entropy, above 0.
    """
    total = functional.binary_cross_entropy_with_logits(logits, target, reduction="sum")
    return total / len(target)


@in_full_precision
def gaussian_nll(mean: Float[Tensor, "n ..."], target: Float[Tensor, "n ..."]) -> Float[Tensor, ""]:
    """Mean over images of -log p(x), summed over pixels, in nats, where each pixel is Gaussian of variance 1.

        -log p(x) = 1/2 sum_i ((x_i - mean_i)^2 + log 2π)     (appendix C.2, with σ = 1)

    Args:
        mean: of the pixels.
        target: pixels in any scale, which decides what a variance of 1 means.
    """
    pixels = target[0].numel()
    squared = functional.mse_loss(mean, target, reduction="sum") / len(target)
    return 0.5 * (squared + pixels * math.log(2 * math.pi))
