"""Counts, means and scatters of groups of points, in float64, and the two halves that a group falls into."""

from __future__ import annotations

import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor
from torch.nn import functional

from estimators.on_device import block_rows
from losses.normal_inverse_wishart import Moments


def weighted_moments(points: Float64[Tensor, "n d"], weights: Float64[Tensor, "n k"]) -> Moments:
    """Of k groups to which points belong by weights of 0 or more. Points are of size about 1 around 0."""
    d, k = points.shape[1], weights.shape[1]
    counts = weights.sum(dim=0)
    means = weights.T @ points / counts.clamp_min(torch.finfo(counts.dtype).tiny).unsqueeze(1)
    squares = points.new_zeros(k, d * d)
    size = block_rows(d * d + k)
    for rows, shares in zip(torch.split(points, size), torch.split(weights, size), strict=True):
        squares += shares.T @ (rows.unsqueeze(2) * rows.unsqueeze(1)).flatten(1)
    scatters = squares.view(k, d, d) - counts.view(-1, 1, 1) * means.unsqueeze(2) * means.unsqueeze(1)
    return Moments(counts, means, (scatters + scatters.mT) / 2)


def moments_of(points: Float64[Tensor, "n d"], labels: Int64[Tensor, " n"], k: int) -> Moments:
    """Of k groups to which points belong wholly; a label of k or more belongs to none."""
    return weighted_moments(points, functional.one_hot(labels.clamp_max(k), k + 1)[:, :k].to(points.dtype))


def together(first: Moments, second: Moments) -> Moments:
    """The moments of each pair of groups as one."""
    counts = first.counts + second.counts
    share = (second.counts / counts.clamp_min(torch.finfo(counts.dtype).tiny)).unsqueeze(1)
    apart = second.means - first.means
    between = (first.counts * share.squeeze(1)).view(-1, 1, 1) * apart.unsqueeze(2) * apart.unsqueeze(1)
    return Moments(counts, first.means + share * apart, first.scatters + second.scatters + between)


def halves(points: Float[Tensor, "n d"]) -> Float[Tensor, "2 d"]:
    """The means of the two groups of least scatter along the first principal axis: KMeans with k = 2 there, exactly.

    Fewer than two points are two groups of the same mean; no points have 0.
    """
    if len(points) < 2:
        return points.sum(dim=0).expand(2, -1)
    centred = points - points.mean(dim=0)
    axis = torch.linalg.eigh(centred.T @ centred).eigenvectors[:, -1]
    order = (centred @ axis).argsort()
    sums = (centred @ axis)[order].cumsum(dim=0)[:-1]  # of the first group, at every place of the border
    first = torch.arange(1, len(points), device=points.device, dtype=points.dtype)
    # The scatter between both groups is this times n, since the projections sum to 0.
    border = int((sums.square() / (first * (len(points) - first))).argmax()) + 1
    return torch.stack([points[order[:border]].mean(dim=0), points[order[border:]].mean(dim=0)])
