"""TURTLE: the error of linear classifiers on a soft labelling, and their gradient, which the inner loop follows.

Source: Gadetsky, Jiang, Brbić, "Let Go of Your Labels with Unsupervised Transfer", ICML 2024, eqs. 9 to 13. The entropy
of its eq. 12 is log k less `losses.scan.marginal_divergence` from clusters of one size.
"""

from __future__ import annotations

from einops import einsum
from jaxtyping import Float
from torch import Tensor

from losses.precision import in_full_precision


@in_full_precision
def soft_cross_entropy(log_p: Float[Tensor, "*r n k"], labels: Float[Tensor, "*r n k"]) -> Float[Tensor, "*r"]:
    """Mean over images of -sum_c τ_c log p_c, in nats, at least 0: the error of a classifier on soft labels.

    Args:
        log_p: of the classifier; the rows of p sum to 1.
        labels: τ, whose rows sum to 1.
    """
    return -(labels * log_p).sum(dim=-1).mean(dim=-1)


@in_full_precision
def soft_cross_entropy_gradient(
    z: Float[Tensor, "n d"], log_p: Float[Tensor, "r n k"], labels: Float[Tensor, "r n k"]
) -> Float[Tensor, "r d k"]:
    """The gradient of `soft_cross_entropy` by the weights of linear classifiers, log p = log softmax(z W).

    Args:
        z: what the classifiers see; a column of ones stands for the bias.
        log_p: of r classifiers; the rows of p sum to 1.
        labels: τ, whose rows sum to 1.
    """
    return einsum(z, log_p.exp() - labels, "n d, r n k -> r d k") / len(z)


@in_full_precision
def mean_labelling(log_labels: Float[Tensor, "s r n k"]) -> Float[Tensor, "r n k"]:
    """τ, the mean of the labellings of s spaces (eq. 9); its rows sum to 1.

    Args:
        log_labels: their logarithms.
    """
    return log_labels.exp().mean(dim=0)
