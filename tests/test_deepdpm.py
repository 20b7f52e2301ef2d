"""DeepDPM: its equations beside scipy's, moves on made points, and the number of clusters found from far starts."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal, multivariate_t
from torch import Tensor

from configs.load import ConfigError
from data.image_set import ImageSet
from engine.processes import launch
from engine.randomness import BatchNoise, seed_all
from evaluation.agreement import adjusted_rand_index
from evaluation.contingency import contingency
from losses.deepdpm import FullMixture, log_e_step, log_split_ratio, subcluster_distance
from losses.normal_inverse_wishart import (
    Moments,
    WishartPrior,
    log_marginal_likelihood,
    posterior_covariances,
    posterior_means,
)
from methods.deepdpm import DeepDPM, DeepDPMConfig, SplittingObjective
from methods.resolve import resolve_config
from models.autoencoder import ImageShape, ModelError
from models.growing_heads import ClusterNetwork, SubclusterNetworks
from parts.growing_mixture import GrowingMixture, Table
from parts.moments import halves, moments_of, together, weighted_moments
from parts.phases import Batch, GradientPhase
from parts.split_merge import DirichletProcess, Responsibilities, estimate, merge, merges, split, splits
from tests.joint_runs import run, whole_and_resumed

POINTS = torch.randn(40, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
PRIOR = WishartPrior(
    0.3, 5.0, torch.tensor([0.5, 0.0, -0.5]).double(), torch.diag(torch.tensor([1.0, 2.0, 0.5])).double()
)


def log_predictive(points: Tensor, prior: WishartPrior) -> float:
    """log p(x_1, …, x_N) as the product of every point's predictive density given those before: multivariate t."""
    total, d = 0.0, points.shape[1]
    kappa, nu = prior.strength, prior.freedom
    m, psi = prior.mean.numpy(), prior.scatter.numpy()
    for x in points.numpy():
        freedom = nu - d + 1
        total += multivariate_t(m, psi * (kappa + 1) / (kappa * freedom), df=freedom).logpdf(x)
        psi = psi + kappa / (kappa + 1) * np.outer(x - m, x - m)
        m = (kappa * m + x) / (kappa + 1)
        kappa, nu = kappa + 1, nu + 1
    return total


def test_the_marginal_likelihood_is_the_product_of_predictive_densities() -> None:
    labels = torch.arange(40) % 4 // 2  # 20 and 20, and none in the third
    found = log_marginal_likelihood(moments_of(POINTS, labels, 3), PRIOR)
    assert found[:2].tolist() == pytest.approx([log_predictive(POINTS[labels == one], PRIOR) for one in (0, 1)])
    assert float(found[2]) == pytest.approx(0, abs=1e-12)


def test_the_most_probable_gaussian_by_hand() -> None:
    """One dimension, kappa 2, nu 3, m 1, psi 4; the points 3 and 5."""
    prior = WishartPrior(2.0, 3.0, torch.tensor([1.0]), torch.tensor([[4.0]]))
    moments = moments_of(torch.tensor([[3.0], [5.0]]).double(), torch.zeros(2, dtype=torch.int64), 1)
    assert posterior_means(moments, prior).tolist() == [[pytest.approx((2 * 1 + 8) / 4)]]
    scatter = 4 + 2 + 2 * 2 / 4 * (4 - 1) ** 2  # psi, around the mean of 4, and from the prior's mean
    assert posterior_covariances(moments, prior).tolist() == [[[pytest.approx(scatter / (3 + 2 + 1 + 2))]]]


def test_the_e_step_beside_scipy() -> None:
    mixture = GrowingMixture(3, 4, concentration=2.0)
    moments = moments_of(POINTS, torch.arange(40) % 5 // 2, 3)  # 16, 16 and 8
    table = Table.empty(4, 3)
    table.put(torch.tensor([0, 1, 3]), moments, torch.zeros(3, 2, 3).double(), PRIOR)
    mixture.place(table)
    means, covariances = posterior_means(moments, PRIOR), posterior_covariances(moments, PRIOR)
    weights = [(n + 2 / 3) / 42 for n in (16, 16, 8)]
    wanted = np.stack(
        [w * multivariate_normal(m, s).pdf(POINTS) for w, m, s in zip(weights, means, covariances, strict=True)], axis=1
    )
    found = log_e_step(POINTS.float(), mixture.mixture).exp()
    assert torch.allclose(
        found[:, [0, 1, 3]].double(), torch.from_numpy(wanted / wanted.sum(1, keepdims=True)), atol=1e-5
    )
    assert bool((found[:, 2] == 0).all())
    assert mixture.rows == [0, 1, 3]


def test_the_ratio_and_the_distance_by_hand() -> None:
    counts, apart = torch.tensor([[3.0, 4.0]]).double(), torch.tensor([[-5.0, -6.0]]).double()
    found = log_split_ratio(counts, apart, torch.tensor([-13.0]).double(), 10.0)
    assert found.tolist() == [pytest.approx(math.log(10 * 2 * 6 / 720) - 11 + 13)]  # gammas of 3, 4 and 7
    z, shares = torch.tensor([[0.0, 0.0], [1.0, 1.0]]), torch.tensor([[0.25, 0.75], [1.0, 0.0]])
    means = torch.tensor([[[3.0, 4.0], [0.0, 1.0]], [[1.0, 0.0], [9.0, 9.0]]])
    assert float(subcluster_distance(z, shares.log(), means)) == pytest.approx((0.25 * 25 + 0.75 * 1 + 1 + 0) / 2)


def test_moments_are_sums_over_points_and_those_of_a_union_follow() -> None:
    weights = torch.rand(40, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    found = weighted_moments(POINTS, weights)
    for k in (0, 1):
        mean = sum(w * x for w, x in zip(weights[:, k], POINTS, strict=True)) / weights[:, k].sum()
        scatter = sum(w * torch.outer(x - mean, x - mean) for w, x in zip(weights[:, k], POINTS, strict=True))
        assert torch.allclose(found.means[k], mean)
        assert torch.allclose(found.scatters[k], scatter)
    labels = torch.arange(40) % 3
    first, second, third = (Moments(*(part[k : k + 1] for part in moments_of(POINTS, labels, 3))) for k in range(3))
    both = moments_of(POINTS, torch.where(labels == 1, 0, labels), 1)
    assert all(torch.allclose(one, other) for one, other in zip(together(first, second), both, strict=True))
    assert float(third.counts) == 13


def test_halves_are_the_best_of_all_borders_along_the_first_axis() -> None:
    points = torch.cat([POINTS[:9] * 0.3, POINTS[9:20] * 0.3 + torch.tensor([2.0, 1.0, 0.0])])
    centred = points - points.mean(dim=0)
    projected = centred @ torch.linalg.svd(centred).Vh[0]
    order = projected.argsort()

    def scatter(border: int) -> float:
        return float(sum(part.var(correction=0) * len(part) for part in projected[order].tensor_split([border])))

    best = min(range(1, 20), key=scatter)
    assert best in (9, 11)
    wanted = sorted(points[part].mean(dim=0).tolist() for part in order.tensor_split([best]))
    assert sorted(halves(points).tolist()) == [pytest.approx(row) for row in wanted]
    assert torch.equal(halves(points[:1]), points[:1].repeat(2, 1))


def test_networks_leave_free_rows_alone_and_copies_answer_alike() -> None:
    seed_all(0)
    network, alive = ClusterNetwork(3, 5, 4), torch.tensor([True, False, True, False])
    z = POINTS.float()
    r = network(z, alive).exp()
    assert torch.allclose(r.sum(dim=1), torch.ones(40))
    assert not bool(r[:, ~alive].any())
    network(z, alive).masked_fill(~alive, 0).sum().backward()
    assert network.output.weight.grad is not None
    assert not bool(network.output.weight.grad[~alive].any())
    before = r[:, 2].clone()
    network.rearrange(torch.tensor([0, 2, 2, 3]))
    after = network(z, torch.tensor([True, True, True, False])).exp().detach()
    assert torch.equal(after[:, 1], after[:, 2])
    assert bool((after[:, 1] < before).all())

    subclusters, own = SubclusterNetworks(3, 5, 4), torch.arange(40) % 4
    found = subclusters(z, own).detach()
    for row in (0, 7, 22):
        k = int(own[row])
        hidden = (z[row] @ subclusters.hidden[k] + subclusters.hidden_bias[k]).relu()
        logits = hidden @ subclusters.output[k] + subclusters.output_bias[k]
        assert torch.allclose(found[row], logits.log_softmax(dim=0), atol=1e-6)
    subclusters.rearrange(torch.tensor([0, 2, 2, 3]), torch.tensor([True, False, False, False]))
    again = subclusters(z, torch.where(own == 1, 2, own)).detach()
    assert torch.equal(again[own > 1], found[own > 1])
    assert not torch.equal(again[own == 0], found[own == 0])
    assert torch.equal(subclusters(z, torch.full_like(own, 1)), subclusters(z, torch.full_like(own, 2)))


def groups(*centres: tuple[float, float], each: int = 40) -> Tensor:
    noise = torch.randn(len(centres) * each, 2, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    return torch.tensor(centres, dtype=torch.float64).repeat_interleave(each, dim=0) + 0.1 * noise


PROCESS = DirichletProcess(
    10.0, WishartPrior(1e-4, 4.0, torch.zeros(2).double(), 0.05 * torch.eye(2, dtype=torch.float64))
)
SQUARE = groups((-1, -1), (-1, 1), (1, -1), (1, 1))
NEVER, ALWAYS = torch.ones(6), torch.zeros(6)


def seen(points: Tensor, labels: Tensor, subs: Tensor, rows: list[int]) -> Responsibilities:
    """Of networks that are sure."""
    shares = torch.nn.functional.one_hot(labels, len(rows)).double()
    return Responsibilities(points, torch.tensor(rows), shares, torch.nn.functional.one_hot(subs, 2).double())


def test_a_cluster_of_two_groups_splits_and_one_of_one_does_not() -> None:
    labels = torch.tensor([0, 0, 1, 2]).repeat_interleave(40)
    subs = torch.cat([torch.arange(2).repeat_interleave(40), torch.arange(40) % 2, (torch.arange(40) < 5).long()])
    soft = seen(SQUARE, labels, subs, [1, 3, 4])
    proposed = splits(soft, PROCESS)
    assert proposed.places[:, 0].tolist() == [0, 1]  # the third has a sub-cluster of 5
    alone = [log_predictive(part, PROCESS.prior) for part in SQUARE.split(40)]
    whole = log_predictive(SQUARE[:80], PROCESS.prior)
    wanted = math.log(10) + 2 * math.lgamma(40) - math.lgamma(80) + alone[0] + alone[1] - whole
    assert float(proposed.log_ratios[0]) == pytest.approx(wanted)
    assert wanted > 0 > float(proposed.log_ratios[1])

    change = split(soft, estimate(soft, 6, PROCESS.prior), PROCESS, NEVER)
    assert change.table.alive.tolist() == [True, True, False, True, True, False]
    assert change.source.tolist() == [1, 1, 2, 3, 4, 5]
    assert change.fresh.nonzero()[:, 0].tolist() == [0, 1]
    assert change.table.counts[[0, 1, 3, 4]].tolist() == pytest.approx([40] * 4)
    for row, group in ((1, 0), (0, 1)):
        part = SQUARE[40 * group : 40 * group + 40]
        assert torch.allclose(change.table.means[row], part.mean(dim=0), atol=1e-4)
        assert torch.allclose(change.table.sub_means[row], halves(part))
    assert int(split(soft, estimate(soft, 6, PROCESS.prior), PROCESS, ALWAYS).table.alive.sum()) == 5  # chance below H
    assert int(split(soft, estimate(soft, 5, PROCESS.prior), PROCESS, ALWAYS[:5]).table.alive.sum()) == 5  # no room


def test_two_clusters_of_one_group_merge_and_those_of_two_do_not() -> None:
    labels = torch.cat([torch.arange(40) % 3 // 2, torch.tensor([2, 3, 4]).repeat_interleave(40)])
    soft = seen(SQUARE, labels, torch.arange(160) % 2, [0, 1, 2, 3, 5])
    proposed = merges(soft, PROCESS)
    assert [0, 1] in proposed.places.tolist()
    assert all(a < b for a, b in proposed.places.tolist())
    ratios = dict(zip(map(tuple, proposed.places.tolist()), proposed.log_ratios.tolist(), strict=True))
    first, second = (SQUARE[labels == one] for one in (0, 1))
    apart = log_predictive(first, PROCESS.prior) + log_predictive(second, PROCESS.prior)
    gammas = math.lgamma(40) - math.lgamma(len(first)) - math.lgamma(len(second)) - math.log(10)
    assert ratios[(0, 1)] == pytest.approx(gammas + log_predictive(SQUARE[:40], PROCESS.prior) - apart)
    assert [pair for pair, ratio in ratios.items() if ratio > 0] == [(0, 1)]

    change = merge(soft, estimate(soft, 6, PROCESS.prior), PROCESS, NEVER)
    assert int(change.table.alive.sum()) == 4
    (kept,) = change.fresh.nonzero()[:, 0].tolist()
    assert kept in (0, 1)
    assert torch.allclose(change.table.means[kept], SQUARE[:40].mean(dim=0), atol=1e-4)
    assert change.source.tolist() == [0, 1, 2, 3, 4, 5]


def test_clusters_without_points_end_and_one_cluster_has_none_to_merge_with() -> None:
    soft = seen(SQUARE, torch.ones(160, dtype=torch.int64), torch.arange(160) % 2, [0, 3])
    assert len(merges(soft, PROCESS).log_ratios) == 0
    change = merge(soft, estimate(soft, 6, PROCESS.prior), PROCESS, ALWAYS)
    assert change.table.alive.nonzero()[:, 0].tolist() == [3]


def config(*settings: str) -> DeepDPMConfig:
    small = ("cluster.most=16", "cluster.batch_size=60", "cluster.min_steps=40", "cluster.epochs=1", "cluster.rounds=9")
    found = resolve_config("deepdpm", None, [*NETWORK, *small, "runtime.device=cpu", *settings], {})
    assert isinstance(found, DeepDPMConfig)
    return found


NETWORK = (
    *("layout=~", "model={name: dense, hidden: [16], latent: 2}"),
    "pretrain={epochs: 1, min_steps: 150, batch_size: 60, optimiser: {learning_rate: 1e-2}}",
)


def spots(groups: int, each: int = 60) -> ImageSet:
    """Images of 8 × 8 pixels, each group around one of its own."""
    generator = torch.Generator().manual_seed(0)
    centres = torch.rand(groups, 64, generator=generator) * 200
    labels = torch.arange(groups * each) % groups
    pixels = centres[labels] + 8 * torch.randn(groups * each, 64, generator=generator)
    images = pixels.round().clamp(0, 255).to(torch.uint8).view(-1, 1, 8, 8)
    return ImageSet("spots", "train", images, labels, tuple(map(str, range(groups))))


FIVE = spots(5)
FEWER = ("cluster.rounds=3", "cluster.start=3")


def built(*settings: str) -> DeepDPM:
    seed_all(0)
    return DeepDPM(config(*settings), ImageShape(1, 8, 8))


@pytest.mark.parametrize("start", [1, 14])
def test_the_number_is_found_from_either_side(start: int) -> None:
    method = built(f"cluster.start={start}")
    run(method, FIVE.images)
    assert method.clusters == 5
    assert FIVE.labels is not None
    answer = method.assign(FIVE.images)
    assert adjusted_rand_index(contingency(FIVE.labels, answer.labels)) > 0.98
    assert answer.probabilities is not None
    assert answer.probabilities.shape == (300, 5)
    assert method.centroid_positions().shape == (5, 2)
    assert method.mixture.rows == [0, 1, 2, 3, 4]
    (note,) = method.notes
    assert note.startswith("5 clusters found, kept by the last ")
    assert len(note) <= 80
    assert method.sureness.notes(5, 5)[0].startswith(
        "5 clusters found (cluster.most allows no more), kept by the last "
    )
    assert float(method.sureness.split) < 0 > float(method.sureness.merge)
    assert int(method.sureness.moves) == 8


def test_a_resumed_run_ends_with_the_same_bits() -> None:
    """From before the first clusters, from the epoch after which they split, and from the middle of another."""
    method, _ = whole_and_resumed(lambda: built(*FEWER), FIVE.images, steps=[150, 190, 207])
    assert int(method.sureness.moves) == 2  # type: ignore[attr-defined]


def test_loss_and_m_step_of_a_round_by_hand() -> None:
    method = built("cluster.start=3", "cluster.hold=0.5")
    phases = method.phases(FIVE.images, launch(method.config.runtime))
    phase = phases[-2]
    assert isinstance(phase, GradientPhase)
    objective = phase.module
    assert isinstance(objective, SplittingObjective)
    phases[1].fit()  # type: ignore[union-attr]
    z = method.embed(FIVE.images)
    x = (z - z.mean(dim=0)) / z.std(dim=0, correction=0).square().mean().sqrt()
    indices = torch.tensor([3, 50, 299])
    batch = Batch(FIVE.images[indices], indices, BatchNoise(0, 3, slice(0, 3), torch.device("cpu")))
    found = {name: float(value.detach()) for name, value in objective(batch).items()}

    target = log_e_step(x[indices], method.mixture.mixture).exp()
    log_r = method.network(x[indices], method.mixture.alive)[:, :3].detach()
    kl = (target[:, :3] * (target[:, :3].clamp_min(1e-30).log() - log_r)).sum(dim=1).mean()
    own = log_r.argmax(dim=1)
    shares = method.subclusters(method.mixture.within(x[indices], own), own).exp().detach()
    squared = (x[indices].unsqueeze(1) - method.mixture.sub_means[own]).square().sum(dim=2)
    assert found["clustering"] == pytest.approx(float(kl), rel=1e-4, abs=1e-5)
    assert found["subclusters"] == pytest.approx(float((shares * squared).sum(dim=1).mean()), rel=1e-4)
    assert found["loss"] == pytest.approx(found["clustering"] + found["subclusters"])
    assert found["clusters"] == 3

    held = method.mixture.means.clone()
    assert objective.restart(1) == ()  # 8 epochs a round, of which half are held
    assert torch.equal(method.mixture.means, held)
    assert objective.restart(4) == ()
    r = method.network(x, method.mixture.alive).exp().detach()[:, :3].double()
    wanted = r.T @ x.double() / (r.sum(dim=0).unsqueeze(1) + method.config.cluster.prior.strength)
    assert torch.allclose(method.mixture.means[:3], wanted.float(), atol=1e-5)
    forgotten = objective.restart(8)
    assert len(forgotten) in (0, 6)
    assert int(method.sureness.moves) == 1


def test_there_must_be_room_for_the_first_clusters_and_for_covariances() -> None:
    with pytest.raises(ModelError, match="cluster.most to 16 or less"):
        GrowingMixture(2048, 100, 10.0)
    with pytest.raises(ConfigError, match=r"not valid:\n  cluster: start is 9 and most is 4"):
        config("cluster.start=9", "cluster.most=4")


def test_more_concentration_never_finds_fewer() -> None:
    """log H of a split grows by the logarithm of what the concentration grows by."""
    labels, subs = torch.tensor([0, 0, 1, 1]).repeat_interleave(40), torch.arange(160) % 2
    soft = seen(SQUARE, labels, subs, [0, 1])
    ratios = [splits(soft, PROCESS._replace(concentration=alpha)).log_ratios for alpha in (0.1, 1.0, 10.0)]
    for less, more in pairwise(ratios):
        assert (more - less).tolist() == pytest.approx([math.log(10)] * 2)


def test_densities_far_from_all_clusters_stay_finite() -> None:
    mixture = FullMixture(torch.zeros(2), torch.eye(2).repeat(2, 1, 1) * 1e3, torch.zeros(2, 2), torch.zeros(2))
    assert bool(log_e_step(torch.full((1, 2), 1e6), mixture).isfinite().all())
