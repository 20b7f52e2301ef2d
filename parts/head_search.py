"""A population of heads under selection: the better ones stay, recombined and mutated ones take the others' places.

Restarts of a clustering end in different local optima, most of them with a few clusters in the wrong place. Two of
them recombined often have both right.

Source: Gribel, Vidal, "HG-means: A scalable hybrid genetic algorithm for minimum sum-of-squares clustering", Pattern
Recognition 2019, whose recombination (clusters of two parents are matched, one of every pair is taken) is used here
on linear heads in place of centroids; the mutation is a split and a merge as in Ueda, Nakano, Ghahramani, Hinton,
"SMEM Algorithm for Mixture Models", Neural Computation 2000.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int64
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from models.cluster_heads import ClusterHeads

ALIKE = 0.97
"""Two heads that agree on this share of the points are one solution."""
LEAP = 0.5
"""How far the halves of a split cluster begin from it, as a share of its weights' length."""


def evolve(
    heads: ClusterHeads, losses: Float[Tensor, " r"], z: Float[Tensor, "n d"], survivors: int, mutation: float
) -> None:
    """Give the places of all heads but the best `survivors` to children of these, by torch's generator.

    Args:
        heads: r of them, trained for a while; changed in place.
        losses: their own losses, by which they are ranked.
        z: features of some training images, on which heads are compared.
        survivors: how many heads stay as they are; of heads that are alike the best alone.
        mutation: the share of children that have one parent, in which a cluster is dropped and another split in two.
            The others take every cluster from either of two parents.
    """
    with torch.no_grad():
        p = heads(z.to(heads.weight.device)).exp().cpu()  # (r, n, k)
        kept = different(p.argmax(dim=2), losses, survivors)
        freed = [head for head in losses.argsort(descending=True).tolist() if head not in kept]
        weights, biases = heads.weight.detach().cpu().clone(), heads.bias.detach().cpu().clone()
        for head in freed:
            if len(kept) == 1 or float(torch.rand(())) < mutation:
                parent = _tournament(kept)
                weight, bias = split_and_drop(weights[parent], biases[parent])
            else:
                first, second = _pair(kept)
                columns = recombined(p[first], p[second])
                weight = torch.where(columns < 0, weights[first], weights[second][:, columns.clamp_min(0)])
                bias = torch.where(columns < 0, biases[first], biases[second][columns.clamp_min(0)])
            heads.weight[head], heads.bias[head] = weight.to(heads.weight), bias.to(heads.bias)


def different(labels: Int64[Tensor, "r n"], losses: Float[Tensor, " r"], most: int) -> list[int]:
    """The best heads, best first, of which no two agree on nearly all points."""
    kept: list[int] = []
    for head in losses.argsort().tolist():
        if len(kept) == most:
            break
        if all(_agreement(labels[head], labels[other]) < ALIKE for other in kept):
            kept.append(head)
    return kept


def recombined(first: Float[Tensor, "n k"], second: Float[Tensor, "n k"]) -> Int64[Tensor, " k"]:
    """For every cluster of the first parent -1 where the child has it, or the second's cluster that takes its place.

    Args:
        first: probabilities by one parent.
        second: probabilities of the same points by the other.
    """
    rows, columns = linear_sum_assignment((first.T @ second).numpy(), maximize=True)
    partner = torch.empty(first.shape[1], dtype=torch.int64)
    partner[torch.from_numpy(rows)] = torch.from_numpy(columns)
    return torch.where(torch.rand(len(partner)) < 0.5, -1, partner)


def split_and_drop(
    weight: Float[Tensor, "d k"], bias: Float[Tensor, " k"]
) -> tuple[Float[Tensor, "d k"], Float[Tensor, " k"]]:
    """One cluster, drawn at random, gives its place to a half of another, which is parted in a random direction."""
    dropped, parted = torch.randperm(weight.shape[1])[:2].tolist()
    weight, bias = weight.clone(), bias.clone()
    leap = torch.randn(len(weight)).to(weight)
    leap *= LEAP * weight[:, parted].norm() / leap.norm()
    weight[:, dropped] = weight[:, parted] - leap
    weight[:, parted] += leap
    bias[dropped] = bias[parted]
    return weight, bias


def _agreement(first: Int64[Tensor, " n"], second: Int64[Tensor, " n"]) -> float:
    """The share of points on which two label sets agree once their clusters are matched."""
    k = int(max(first.max(), second.max())) + 1
    counts = torch.bincount(first * k + second, minlength=k * k).view(k, k).numpy()
    rows, columns = linear_sum_assignment(counts, maximize=True)
    return float(counts[rows, columns].sum() / len(first))


def _tournament(kept: list[int]) -> int:
    """The better of two drawn at random; `kept` has the best first."""
    return kept[int(torch.randint(len(kept), (2,)).min())]


def _pair(kept: list[int]) -> tuple[int, int]:
    first = second = _tournament(kept)
    while second == first:
        second = _tournament(kept)
    return first, second
