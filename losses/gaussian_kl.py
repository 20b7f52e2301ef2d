"""The divergence of a Gaussian posterior from the standard normal prior.

Source: Kingma, Welling, "Auto-Encoding Variational Bayes", ICLR 2014, appendix B.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from losses.precision import in_full_precision


@in_full_precision
def gaussian_kl(mu: Float[Tensor, "n d"], log_variance: Float[Tensor, "n d"]) -> Float[Tensor, ""]:
    """Mean over images of KL(N(μ, diag σ²) ‖ N(0, I)), in nats, at least 0.

        KL = 1/2 sum_j (mu_j^2 + sigma_j^2 - log sigma_j^2 - 1)     (appendix B, with the sign turned)

    Args:
        mu: mean.
        log_variance: log σ².
    """
    # expm1, since σ² - 1 of an unused dimension is a small difference of near numbers.
    per_dimension = mu.square() + torch.expm1(log_variance) - log_variance  # (n, d)
    return 0.5 * per_dimension.sum(dim=1).mean()
