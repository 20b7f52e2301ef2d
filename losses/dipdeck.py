"""The clustering loss of DipDECK: latents are drawn to their own centre, and to others by how alike the clusters are.

Source: Leiber, Bauer, Schelling, Böhm, Plant, "Dip-based Deep Embedded Clustering with k-Estimation", KDD 2021,
section 3.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from losses.precision import in_full_precision
from losses.squared_distances import squared_distances


@in_full_precision
def cluster_relations(p: Float[Tensor, "c c"], alive: Bool[Tensor, " c"]) -> Float[Tensor, "c c"]:
    """P̂: how much the latents of one cluster are drawn to the centre of another; rows of living clusters sum to 1.

        P̂_ij = (P_ij + δ_ij) / Σ_j' (P_ij' + δ_ij')

    A cluster counts with 1 to itself, so it draws its own latents at least as much as any other.

    Args:
        p: P, the p-value of the dip test for every pair of clusters, from 0 to 1.
        alive: which clusters there are. All others have rows and columns of zeros.
    """
    both = alive.unsqueeze(0) & alive.unsqueeze(1)
    own = torch.eye(len(p), dtype=p.dtype, device=p.device)
    weights = torch.where(own > 0, own, p) * both
    return weights / torch.where(alive, weights.sum(dim=1), 1).unsqueeze(1)


@in_full_precision
def related_distance(
    squared: Float[Tensor, "n c"], labels: Int64[Tensor, " n"], relations: Float[Tensor, "c c"]
) -> Float[Tensor, ""]:
    """Mean over the latents of Σ_j P̂_lj |z - m_j|², where l is the cluster of the latent z.

    Args:
        squared: |z - m_j|² of every latent to every centre; the gradient flows through it.
        labels: the cluster of every latent.
        relations: P̂.
    """
    return (relations[labels] * squared).sum(dim=1).mean()


@in_full_precision
def inverse_spacing(centres: Float[Tensor, "c d"], alive: Bool[Tensor, " c"]) -> Float[Tensor, ""]:
    """(1 + sd(D)) / mean(D), where D holds the distances between the living centres; 0 for a single one.

    The loss is multiplied by it: else it would be lowest where all latents are one point. Centres at the same place
    leave their distance out. The sd is that of the pairs themselves, not of what they were drawn from.

    Args:
        centres: m; the gradient flows through them.
        alive: which of them there are.
    """
    squared = squared_distances(centres, centres)
    used = alive.unsqueeze(0) & alive.unsqueeze(1) & (squared > 0)
    distances = torch.where(used, squared, 1).sqrt() * used  # no root of 0, whose gradient is infinite
    pairs = torch.where(used.any(), used.sum(), 1)
    mean = distances.sum() / pairs
    variance = ((distances - mean).square() * used).sum() / pairs
    spread = torch.where(variance > 0, variance, 1).sqrt() * (variance > 0)
    return torch.where(used.any(), (1 + spread) / torch.where(mean > 0, mean, 1), 0.0)
