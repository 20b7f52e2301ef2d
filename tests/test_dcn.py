"""DCN: centroids as running means against a plain loop, the loss by hand, the assignments that it keeps."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from torch import Tensor

from configs.schema import AugmentationSettings, OptimiserSettings
from data.augmentation import Augmentation
from engine.processes import Processes, launch
from engine.randomness import BatchNoise, seed_all
from evaluation.agreement import agreement
from evaluation.contingency import contingency
from losses.dcn import assigned_distance
from losses.squared_distances import squared_distances
from methods.dcn import DCN, DCNConfig, DCNObjective, DCNSettings, RunningMeans
from methods.dkm import DKMObjective
from methods.registry import METHODS
from methods.resolve import resolve_config
from models.autoencoder import ImageShape, ModelError
from parts.phases import Batch, GradientPhase
from parts.training_views import TrainingViews
from tests.joint_runs import run, whole_and_resumed
from tests.test_dec import bars, config

ADAM = OptimiserSettings(learning_rate=1e-3)
IMAGES = bars()


def small(**cluster: object) -> DCNConfig:
    base = config().model_dump(exclude={"method", "cluster"})
    values = {"weight": 0.1, "max_epochs": 5, "min_steps": 0, "batch_size": 50, "update_interval": 8, "optimiser": ADAM}
    return DCNConfig.model_validate({**base, "cluster": {**values, **cluster}})


def built(**cluster: object) -> DCN:
    seed_all(0)
    return DCN(small(**cluster), ImageShape(1, 8, 8))


def batch(indices: Tensor) -> Batch:
    n = len(indices)
    return Batch(IMAGES.images[indices], indices, BatchNoise(0, n, slice(0, n), torch.device("cpu")))


def test_a_separable_set_is_found() -> None:
    method = built()
    run(method, IMAGES.images)
    assert IMAGES.labels is not None
    answer = method.assign(IMAGES.images)
    assert answer.probabilities is None
    assert agreement(contingency(IMAGES.labels, answer.labels))["acc"] > 0.99


def test_distances_by_hand() -> None:
    z = torch.tensor([[0.0, 0.0], [3.0, 4.0]])
    r = torch.tensor([[1.0, 0.0], [0.0, 4.0]])
    assert squared_distances(z, r).tolist() == [[1.0, 16.0], [20.0, 9.0]]
    assert assigned_distance(z, r).item() == (1 + 9) / 2


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**20), b=st.integers(1, 40), k=st.integers(2, 6))
def test_centroids_move_as_one_sample_after_the_other(seed: int, b: int, k: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    means, n = RunningMeans(k, 3), 60
    means.place(torch.randn(k, 3, generator=generator))
    before = torch.randint(0, k, (n,), generator=generator)
    means.count(before)
    z, indices = torch.randn(b, 3, generator=generator), torch.randperm(n, generator=generator)[:b]

    centroids = means.centroids.double().tolist()
    counts = [int((before == j).sum()) for j in range(k)]
    chosen = []
    for row in z.double().tolist():  # all are assigned before the first of them moves a centroid
        away = [sum((a - c) ** 2 for a, c in zip(row, old, strict=True)) for old in means.centroids.double().tolist()]
        chosen.append(away.index(min(away)))
    for row, j in zip(z.double().tolist(), chosen, strict=True):
        counts[j] += 1
        centroids[j] = [m + (a - m) / counts[j] for a, m in zip(row, centroids[j], strict=True)]
    means.update(z, indices)

    assert torch.allclose(means.centroids.double(), torch.tensor(centroids, dtype=torch.float64), atol=1e-5)
    assert means.counts.tolist() == counts
    expected = before.clone()
    expected[indices] = torch.tensor(chosen)
    assert means.labels is not None
    assert torch.equal(means.labels, expected)


def test_a_cluster_without_images_stays_where_it_is() -> None:
    means = RunningMeans(2, 1)
    means.place(torch.tensor([[0.0], [100.0]]))
    means.count(torch.zeros(4, dtype=torch.int64))
    means.update(torch.tensor([[5.0]]), torch.tensor([2]))
    assert means.centroids.tolist() == [[1.0], [100.0]]  # (4 · 0 + 5) / 5
    assert means.counts.tolist() == [5, 0]
    means.update(torch.tensor([[90.0]]), torch.tensor([0]))
    assert means.centroids.tolist() == [[1.0], [90.0]]  # its first image takes it over


def test_the_loss_by_hand_uses_the_kept_assignments() -> None:
    method = built()
    generator = torch.Generator().manual_seed(0)
    method.means.place(torch.randn(4, 4, generator=generator))
    kept = torch.randint(0, 4, (400,), generator=generator)  # not the nearest
    method.means.count(kept)
    backbone = method.backbone
    compute, views = launch(method.config.runtime), TrainingViews(backbone.normalise, method.config.cluster)
    objective = DCNObjective(views, backbone.branch(True), method.means, 0.3, backbone.encode, compute)
    index = torch.arange(3, 9)
    losses = objective(batch(index))
    z = method.embed(IMAGES.images[index]).double()
    away = sum(float((z[i] - method.means.centroids[kept[index[i]]].double()).square().sum()) for i in range(6)) / 6
    x = backbone.normalise(IMAGES.images[index])
    mse = float((backbone.networks()["decoder"](backbone.encoder(x)) - x).detach().double().square().mean())
    assert losses["clustering"].item() == pytest.approx(away, rel=1e-5)
    assert losses["loss"].item() == pytest.approx(mse + 0.15 * away, rel=1e-5)
    losses["loss"].backward()
    assert [name for name, p in objective.named_parameters() if p.grad is None] == []
    assert not any("means" in name for name, _ in objective.named_parameters())


def test_after_a_step_the_batch_is_embedded_anew_and_assigned() -> None:
    method = built()
    objective = method.phases(IMAGES.images, launch(method.config.runtime))[-1].module
    generator = torch.Generator().manual_seed(1)
    centroids = torch.randn(4, 4, generator=generator)
    method.means.place(centroids)
    method.means.count(torch.full((400,), 3))
    index = torch.tensor([7, 0, 11])
    objective.train()
    with torch.no_grad():
        for parameter in method.backbone.encoder.parameters():
            parameter.mul_(1.1)
        objective.after_step(batch(index))  # type: ignore[operator]
    z = method.embed(IMAGES.images[index])
    nearest = torch.cdist(z, centroids).argmin(dim=1)
    assert method.means.labels is not None
    assert torch.equal(method.means.labels[index], nearest)
    assert int((method.means.labels != 3).sum()) == int((nearest != 3).sum())
    assert objective.training


class Halves(Processes):
    """What a process is told that holds the first half of a batch; the other's rows are known beforehand."""

    def __init__(self, others: dict[torch.dtype, Tensor]) -> None:
        super().__init__(launch(small().runtime).fabric)
        self.others = others

    def together(self, own: Tensor) -> Tensor:
        return torch.cat([own, self.others[own.dtype]])


def test_several_processes_move_the_centroids_as_one_does() -> None:
    index = torch.arange(20, 30)
    outcomes = []
    for halves in (False, True):
        method = built()
        z = method.embed(IMAGES.images[index])
        method.means.place(z[:4].clone())
        method.means.count(torch.arange(400) % 4)
        compute = Halves({torch.float32: z[5:], torch.int64: index[5:]}) if halves else launch(small().runtime)
        backbone = method.backbone
        views = TrainingViews(backbone.normalise, method.config.cluster)
        objective = DCNObjective(views, backbone.branch(True), method.means, 1.0, backbone.encode, compute)
        with torch.no_grad():
            objective.after_step(batch(index[:5] if halves else index))
        outcomes.append(method.means)
    assert torch.allclose(outcomes[0].centroids, outcomes[1].centroids, atol=1e-6)
    assert torch.equal(outcomes[0].counts, outcomes[1].counts)
    assert outcomes[0].labels is not None
    assert outcomes[1].labels is not None
    assert torch.equal(outcomes[0].labels, outcomes[1].labels)


def test_counts_begin_with_kmeans_and_grow_by_the_images_seen() -> None:
    method = built(max_epochs=2, tol=0.0)
    run(method, IMAGES.images)
    assert method.means.counts.sum() == 400 + 2 * 400
    assert method.means.labels is not None
    assert method.means.labels.shape == (400,)


def test_how_often_all_are_assigned_does_not_change_the_training() -> None:
    often, rarely = built(update_interval=3, tol=0.0), built(update_interval=11, tol=0.0)
    run(often, IMAGES.images)
    run(rarely, IMAGES.images)
    assert torch.equal(often.means.centroids, rarely.means.centroids)


def test_tol_ends_the_clustering() -> None:
    state = run(built(tol=1.0, max_epochs=50), IMAGES.images)
    assert state.global_step == 10 * 8 + 8


def test_a_reset_starts_the_counts_over() -> None:
    method = built(max_epochs=3, tol=0.0, reset={"interval": 2, "subsample": 100, "initialise": {"redos": 2}})
    run(method, IMAGES.images)
    assert method.means.counts.sum() == 400 + 400  # since the reset before the third epoch: all images, then one epoch
    assert method.means.centroids.isfinite().all()


def test_resumed_it_ends_with_the_same_bits() -> None:
    whole, resumed = whole_and_resumed(lambda: built(tol=0.0), IMAGES.images, (85, 113))
    assert isinstance(whole, DCN)
    assert whole.means.labels is not None
    for method in resumed.values():
        assert isinstance(method, DCN)
        assert method.means.labels is not None
        assert torch.equal(whole.means.labels, method.means.labels)


@pytest.mark.parametrize("wrong", [{"weight": 0.0}, {"weight": -1.0}, {"gamma": 0.1}, {"tol": 1.5}])
def test_impossible_settings_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        DCNSettings.model_validate(wrong)


def test_inertia_is_its_criterion() -> None:
    method = built()
    method.means.place(torch.tensor([[0.0] * 4, [1.0] * 4, [2.0] * 4, [3.0] * 4]))
    z = torch.tensor([[0.5, 0.0, 0.0, 0.0], [3.0, 3.0, 3.0, 5.0]])
    assert method.criteria(z) == {"inertia": pytest.approx(4.25)}
    assert method.assign_embedded(z).labels.tolist() == [0, 3]


def test_counts_begin_at_the_sizes_of_clusters_or_where_they_are_told_to() -> None:
    labels = torch.tensor([0, 1, 1, 2, 2, 2])
    means = RunningMeans(4, 3)
    means.count(labels)
    assert means.counts.tolist() == [1, 2, 3, 0]
    means.count(labels, 100)
    assert means.counts.tolist() == [100] * 4
    # m + (z - m) / (count + 1)
    means.place(torch.zeros(4, 3))
    means.count(labels, 1)
    means.update(torch.tensor([[0.0, 0.0, 4.0]]), torch.tensor([3]))
    assert means.centroids[0].tolist() == [0, 0, 2]


def test_the_network_sees_augmented_images_and_the_clusters_are_those_of_clean_ones() -> None:
    shift = {"shift": 0.3}
    method, clean = built(augmentation=shift), built()
    for each in (method, clean):
        each.means.place(torch.randn(4, 4, generator=torch.Generator().manual_seed(1)))
        each.means.count(torch.zeros(400, dtype=torch.int64))
    objective = method.phases(IMAGES.images, launch(method.config.runtime))[-1].module
    plain = clean.phases(IMAGES.images, launch(clean.config.runtime))[-1].module

    def some() -> Batch:  # its noise is drawn from the start
        return batch(torch.arange(50))

    backbone = method.backbone
    augment = Augmentation(AugmentationSettings.model_validate(shift))
    x = backbone.normalise.standardise(augment(backbone.normalise.unit(some().images), some().noise))
    away = (backbone.encoder(x) - method.means.centroids[0]).square().sum(dim=1).mean()
    assert objective(some())["clustering"].item() == pytest.approx(away.item(), rel=1e-5)
    assert objective(some())["clustering"].item() != pytest.approx(plain(some())["clustering"].item(), rel=1e-3)

    objective.after_step(some())
    plain.after_step(some())
    assert method.means.labels is not None
    assert clean.means.labels is not None
    assert torch.equal(method.means.labels, clean.means.labels)
    assert torch.equal(method.means.centroids, clean.means.centroids)


@pytest.mark.parametrize("name", ["dcn", "dkm"])
@pytest.mark.parametrize(
    ("objective", "pixels", "expected"),
    [("reconstruction", "standardised", 3.2 / 64), ("elbo", "unit", 3.2)],  # a mean over 8 x 8 pixels, and their sum
)
def test_the_weight_stands_beside_a_sum_over_pixels(name: str, objective: str, pixels: str, expected: float) -> None:
    changes = [f"pretrain={{objective: {objective}}}", f"pixels={pixels}", "cluster.weight=3.2"]
    config = resolve_config(name, None, [*changes, "model={name: dense, hidden: [16], latent: 3}"], {})
    method = METHODS[name].build(config, ImageShape(1, 8, 8))
    phase = method.phases(IMAGES.images, launch(config.runtime))[-1]
    assert isinstance(phase, GradientPhase)
    assert isinstance(phase.module, DCNObjective | DKMObjective)
    assert phase.module.weight == pytest.approx(expected)


@pytest.mark.parametrize("name", ["dcn", "dkm", "idec"])
def test_without_a_decoder_it_says_which_pretraining_has_one(name: str) -> None:
    settings = resolve_config(name, None, ["pretrain={objective: contrastive}"], {})
    with pytest.raises(ModelError, match="set pretrain.objective to reconstruction or elbo"):
        METHODS[name].build(settings, ImageShape(1, 8, 8)).phases(IMAGES.images, launch(settings.runtime))
