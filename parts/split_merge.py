"""Splits and merges of clusters under a Dirichlet process: what is proposed, what is accepted, what becomes of it.

Source: Ronen, Finder, Freifeld, "DeepDPM: Deep Clustering With an Unknown Number of Clusters", CVPR 2022, sections 4.1
and 4.2.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Float64, Int64
from torch import Tensor

from losses.deepdpm import log_split_ratio
from losses.normal_inverse_wishart import Moments, WishartPrior, log_marginal_likelihood
from parts.growing_mixture import Table
from parts.moments import halves, moments_of, together, weighted_moments

FEWEST = 5
"""Points that a sub-cluster has to have more of before its cluster may split."""
NEAREST = 2
"""Nearest clusters with which a merge is proposed."""


class DirichletProcess(NamedTuple):
    """The model of all points.

    Attributes:
        concentration: α, above 0: the larger, the more clusters.
        prior: of every cluster's mean and covariance.
    """

    concentration: float
    prior: WishartPrior


class Responsibilities(NamedTuple):
    """All training points and the networks' soft assignments of them, on one device in float64.

    Attributes:
        points: (n, d), standardised.
        rows: (k,), the rows of the table that are in use, ascending.
        shares: (n, k), r: the probabilities of the clusters in these rows.
        sub_shares: (n, 2), r̃ of the sub-clusters of each point's cluster.
    """

    points: Float64[Tensor, "n d"]
    rows: Int64[Tensor, " k"]
    shares: Float64[Tensor, "n k"]
    sub_shares: Float64[Tensor, "n 2"]

    @property
    def labels(self) -> Int64[Tensor, " n"]:
        """Each point's cluster, by its place in `rows`."""
        return self.shares.argmax(dim=1)

    @property
    def sub_labels(self) -> Int64[Tensor, " n"]:
        """2 · cluster + sub-cluster."""
        return 2 * self.labels + self.sub_shares.argmax(dim=1)


class Change(NamedTuple):
    """What a move makes of the clusters.

    Attributes:
        table: the clusters after it.
        source: (most,), the row that each row's network weights are copied from.
        fresh: (most,), rows whose sub-clusters begin anew.
    """

    table: Table
    source: Int64[Tensor, " most"]
    fresh: Bool[Tensor, " most"]

    @staticmethod
    def none(table: Table) -> Change:
        return Change(table, torch.arange(len(table.alive)), torch.zeros_like(table.alive))


class Proposals(NamedTuple):
    """Splits of clusters, or merges of pairs, by places in `Responsibilities.rows`.

    Attributes:
        places: (m, 1) or (m, 2).
        log_ratios: (m,), on the CPU; above 0 a move is accepted for certain.
        log_likelihoods: (m, 2), on the CPU, of the points of both parts.
        parts: of m groups each: both sub-clusters, or both clusters of the pair.
        whole: of both parts as one.
    """

    places: Int64[Tensor, "m _"]
    log_ratios: Float64[Tensor, " m"]
    log_likelihoods: Float64[Tensor, "m 2"]
    parts: tuple[Moments, Moments]
    whole: Moments


def estimate(r: Responsibilities, most: int, prior: WishartPrior) -> Table:
    """The M step: most probable parameters given the soft assignments, and sub-clusters within hard clusters."""
    k, d = r.shares.shape[1], r.points.shape[1]
    table = Table.empty(most, d)
    sub_counts = r.sub_labels.bincount(minlength=2 * k).view(k, 2)
    own = torch.zeros_like(r.shares).scatter_(1, r.labels.unsqueeze(1), 1.0)  # (n, k)
    soft = torch.stack([own * r.sub_shares[:, side : side + 1] for side in (0, 1)], dim=2).flatten(1)  # (n, 2k)
    weights = soft.sum(dim=0).clamp_min(torch.finfo(soft.dtype).tiny)
    sub_means = (soft.T @ r.points / weights.unsqueeze(1)).view(k, 2, d)
    for place in (sub_counts == 0).any(dim=1).nonzero()[:, 0].cpu().tolist():
        sub_means[place] = halves(r.points[r.labels == place])
    table.put(r.rows.cpu(), weighted_moments(r.points, r.shares), sub_means, prior)
    return table


def splits(r: Responsibilities, process: DirichletProcess) -> Proposals:
    """Of every cluster whose sub-clusters both have enough points, with the log of the Hastings ratio."""
    k = r.shares.shape[1]
    subs = moments_of(r.points, r.sub_labels, 2 * k)
    first, second = (Moments(*(part[side::2] for part in subs)) for side in (0, 1))
    places = (torch.minimum(first.counts, second.counts) > FEWEST).nonzero()
    return _proposed(places, _only(first, places[:, 0]), _only(second, places[:, 0]), process, 1)


def merges(r: Responsibilities, process: DirichletProcess) -> Proposals:
    """Of clusters with their nearest, by their means, with the log of the Hastings ratio. Empty ones have no part."""
    clusters = moments_of(r.points, r.labels, r.shares.shape[1])
    filled = (clusters.counts > 0).nonzero()[:, 0]
    means = clusters.means[filled]
    distances = (means.unsqueeze(1) - means).square().sum(dim=2).fill_diagonal_(math.inf)
    near = distances.topk(min(NEAREST, len(filled) - 1), largest=False).indices  # (k, 2)
    ends = torch.arange(len(filled), device=near.device).unsqueeze(1).expand_as(near)
    pairs = torch.stack([ends, near], dim=2).flatten(0, 1).sort(dim=1).values
    pairs = torch.unique(pairs, dim=0)
    places = filled[pairs]
    return _proposed(places, _only(clusters, places[:, 0]), _only(clusters, places[:, 1]), process, -1)


def split(r: Responsibilities, table: Table, process: DirichletProcess, chances: Float[Tensor, " most"]) -> Change:
    """Accept splits, the best first, as far as there are free rows; both halves get the network's old weights.

    Args:
        r: of all points.
        table: the clusters before; it is changed.
        process: the model.
        chances: uniform from 0 to 1, by row: a ratio H below 1 is accepted where its chance is below H.
    """
    change, proposed = Change.none(table), splits(r, process)
    rows, free = r.rows.cpu(), (~table.alive).nonzero()[:, 0].tolist()
    for number in _accepted(proposed, chances[rows]):
        if not free:
            break
        place = int(proposed.places[number, 0])
        old, new = int(rows[place]), free.pop(0)
        for side, row in enumerate((old, new)):
            members = r.points[r.sub_labels == 2 * place + side]
            _put(change, row, _only(proposed.parts[side], torch.tensor([number])), members, process.prior)
        change.source[new] = old
    return change


def merge(r: Responsibilities, table: Table, process: DirichletProcess, chances: Float[Tensor, " most"]) -> Change:
    """Accept merges, the best first, each cluster once at most; clusters without points end.

    The network's weights for both are those of the cluster whose points are more probable. Arguments as in `split`.
    """
    change, proposed = Change.none(table), merges(r, process)
    rows, labels = r.rows.cpu(), r.labels
    change.table.alive[rows[(labels.bincount(minlength=len(rows)) == 0).cpu()]] = False
    alone = set(range(len(rows)))
    for number in _accepted(proposed, chances[rows]):
        pair = proposed.places[number].cpu().tolist()
        if not alone.issuperset(pair):
            continue
        alone.difference_update(pair)
        first, second = proposed.log_likelihoods[number]
        kept = int(second > first)
        members = r.points[(labels == pair[0]) | (labels == pair[1])]
        _put(change, int(rows[pair[kept]]), _only(proposed.whole, torch.tensor([number])), members, process.prior)
        change.table.alive[rows[pair[1 - kept]]] = False
    return change


def _proposed(
    places: Int64[Tensor, "m _"], first: Moments, second: Moments, process: DirichletProcess, sign: int
) -> Proposals:
    whole = together(first, second)
    counts = torch.stack([first.counts, second.counts], dim=1)
    apart = torch.stack([log_marginal_likelihood(part, process.prior) for part in (first, second)], dim=1)
    ratios = sign * log_split_ratio(counts, apart, log_marginal_likelihood(whole, process.prior), process.concentration)
    return Proposals(places, ratios.cpu(), apart.cpu(), (first, second), whole)


def _accepted(proposed: Proposals, chances: Float[Tensor, " k"]) -> list[int]:
    """The numbers of the proposals that are accepted, the best first."""
    ratios = proposed.log_ratios
    passed = chances.log()[proposed.places[:, 0].cpu()] < ratios
    return [number for number in ratios.argsort(descending=True).tolist() if passed[number]]


def _only(moments: Moments, chosen: Int64[Tensor, " m"]) -> Moments:
    return Moments(*(part[chosen.to(part.device)] for part in moments))


def _put(change: Change, row: int, moments: Moments, members: Float[Tensor, "m d"], prior: WishartPrior) -> None:
    change.table.put(torch.tensor([row]), moments, halves(members).unsqueeze(0), prior)
    change.fresh[row] = True
