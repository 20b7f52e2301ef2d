"""TEMI: an image and a neighbour are of one cluster, by a variant of their point-wise mutual information.

Source: Adaloglou, Michels, Kalisch, Kollmann, "Exploring the Limits of Deep Image Clustering using Pretrained Models",
BMVC 2023.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from losses.precision import in_full_precision


@in_full_precision
def pointwise_mutual_information(
    student: Float[Tensor, "*r n k"], teacher: Float[Tensor, "*r n k"], sizes: Float[Tensor, "*r k"], beta: float
) -> Float[Tensor, "*r n"]:
    """log sum_c (q_s(c|x) q_t(c|x'))^β / q̃_t(c) of every pair, in nats.

    At β = 1 it is the point-wise mutual information of both images by way of the cluster. β below 1 raises small
    products the most, so that a pair gains less by becoming sure. This keeps clusters from becoming one.

    Args:
        student: log q_s of an image of every pair; the rows of q_s sum to 1.
        teacher: log q_t of the other.
        sizes: q̃_t, the mean of q_t over many images; sums to 1, and may hold zeros.
        beta: β, above 0.
    """
    log_sizes = sizes.clamp_min(torch.finfo(sizes.dtype).tiny).log().unsqueeze(-2)
    return torch.logsumexp(beta * (student + teacher) - log_sizes, dim=-1)


@in_full_precision
def pair_weight(first: Float[Tensor, "r n k"], second: Float[Tensor, "r n k"]) -> Float[Tensor, " n"]:
    """The mean over heads of sum_c q_t(c|x) q_t(c|x'), from 0 to 1: how sure the teachers are that a pair is of one
    cluster. Pairs of unlike images count less.

    Args:
        first: log q_t of an image of every pair, by every head.
        second: log q_t of the other.
    """
    return (first + second).exp().sum(dim=-1).mean(dim=0)
