"""TEMI: its equations by hand, its moving averages, the head that it takes, and classes that lie apart."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from engine.processes import launch
from engine.randomness import BatchNoise, seed_all
from evaluation.agreement import agreement
from evaluation.contingency import contingency
from losses.temi import pair_weight, pointwise_mutual_information
from methods.resolve import resolve_config
from methods.temi import TEMI, TeacherObjective, TEMIConfig
from models.autoencoder import ImageShape
from models.projected_heads import ProjectedHeads
from parts.phases import Batch, GradientPhase
from tests.joint_runs import run
from tests.test_dec import bars

IMAGES = bars(120)
NETWORK = "model={name: conv, latent: 4, layers: [{channels: 8, kernel: 4}], hidden: [], batch_norm: true}"
PRETRAIN = "pretrain={epochs: 2, min_steps: 60, batch_size: 40, augmentation: {shift: 0.1, flip: 0, crop: 0.2}}"
SHORT = (
    "clusters=4",
    "cluster.teacher=0.9",
    "cluster.neighbours=8",
    "cluster.min_steps=200",
    "cluster.batch_size=60",
    "runtime.device=cpu",
)


def config(*settings: str) -> TEMIConfig:
    found = resolve_config("temi", None, [NETWORK, PRETRAIN, *SHORT, *settings], {})
    assert isinstance(found, TEMIConfig)
    return found


def log(*rows: list[float]) -> Tensor:
    return torch.tensor(rows, dtype=torch.float64).log()


def test_the_information_of_a_pair_by_hand() -> None:
    student, teacher, sizes = (
        log([0.9, 0.1], [0.5, 0.5]),
        log([0.8, 0.2], [0.3, 0.7]),
        torch.tensor([0.4, 0.6]).double(),
    )
    for beta in (1.0, 0.6):
        wanted = [
            math.log((0.9 * 0.8) ** beta / 0.4 + (0.1 * 0.2) ** beta / 0.6),
            math.log((0.5 * 0.3) ** beta / 0.4 + (0.5 * 0.7) ** beta / 0.6),
        ]
        found = pointwise_mutual_information(student, teacher, sizes, beta)
        assert found.tolist() == pytest.approx(wanted)


def test_sure_pairs_of_equal_clusters_have_log_k_nats() -> None:
    sure = torch.eye(4, dtype=torch.float64).clamp_min(1e-30).log()
    found = pointwise_mutual_information(sure, sure, torch.full((4,), 0.25).double(), 1.0)
    assert found.tolist() == pytest.approx([math.log(4)] * 4)


def test_the_weight_is_the_chance_of_one_cluster_by_the_mean_of_heads() -> None:
    first = torch.stack([log([0.9, 0.1]), log([0.5, 0.5])])
    second = torch.stack([log([0.8, 0.2]), log([1.0, 0.0])])
    assert pair_weight(first, second).tolist() == pytest.approx([((0.72 + 0.02) + 0.5) / 2])


def objective_of(method: TEMI) -> TeacherObjective:
    phase = method.phases(IMAGES.images, launch(method.config.runtime))[2]
    assert isinstance(phase, GradientPhase)
    assert isinstance(phase.module, TeacherObjective)
    return phase.module


def test_loss_sizes_and_teacher_of_a_step_by_hand() -> None:
    seed_all(0)
    method = TEMI(config("cluster.heads=2", "cluster.teacher=0.75", "cluster.sizes=0.9"), ImageShape(1, 8, 8))
    objective = objective_of(method)
    n = len(IMAGES.images)
    neighbour = torch.arange(n).roll(1).unsqueeze(1)  # each image has one, so that nothing is drawn
    objective.neighbourhood.place(neighbour)
    with torch.no_grad():
        for weight in objective.students.parameters():
            weight.add_(torch.randn_like(weight))
    indices = torch.tensor([3, 50, 7])
    batch = Batch(IMAGES.images[indices], indices, BatchNoise(0, 3, slice(0, 3), torch.device("cpu")))
    loss = objective(batch)["loss"].detach()

    z = method.embed(IMAGES.images)
    ends = neighbour[indices, 0]
    student, teacher = (
        [[heads(z[rows])[head].exp().detach() for rows in (indices, ends)] for head in (0, 1)]
        for heads in (objective.students, objective.teachers)
    )
    total, weight = 0.0, sum((t[0] * t[1]).sum(dim=1) for t in teacher) / 2
    for head, (s, t) in enumerate(zip(student, teacher, strict=True)):
        sizes = 0.9 * 0.25 + 0.1 * torch.cat(t).mean(dim=0)
        assert torch.allclose(objective.sizes.value[head], sizes, atol=1e-6)
        both = [((a * b) ** 0.6 / sizes).sum(dim=1).log() for a, b in ((s[0], t[1]), (s[1], t[0]))]
        total = total - (weight * (both[0] + both[1]) / 2).mean()
    assert float(loss) == pytest.approx(float(total), rel=1e-5)

    before, learned = objective.teachers.hidden.clone(), objective.students.hidden
    objective.after_step(batch)
    assert torch.allclose(objective.teachers.hidden, 0.75 * before + 0.25 * learned, atol=1e-6)
    assert not any(weight.requires_grad for weight in objective.teachers.parameters())


def test_teachers_begin_as_their_students_and_the_answer_is_the_one_of_lowest_loss() -> None:
    seed_all(0)
    method = TEMI(config("cluster.heads=4"), ImageShape(1, 8, 8))
    for own, its in zip(method.teachers.parameters(), method.students.parameters(), strict=True):
        assert torch.equal(own, its)
    run(method, IMAGES.images)
    losses = method.neighbourhood.own_losses
    assert losses is not None
    assert losses.shape == (4,)
    best = int(losses.argmin())
    assert torch.equal(method.head.prototypes[0], method.teachers.prototypes[best])
    z = method.embed(IMAGES.images)
    assert torch.equal(method.assign(IMAGES.images).labels, method.teachers(z)[best].argmax(dim=1))


def test_classes_that_lie_apart_are_found() -> None:
    seed_all(0)
    method = TEMI(config(), ImageShape(1, 8, 8))
    run(method, IMAGES.images)
    assert IMAGES.labels is not None
    found = agreement(contingency(IMAGES.labels, method.assign(IMAGES.images).labels))["acc"]
    assert float(found) > 0.98


def test_heads_are_apart_and_their_logits_are_cosines_by_the_temperature() -> None:
    torch.manual_seed(0)
    heads = ProjectedHeads(3, 5, 8, 4, 2, temperature=0.1)
    z = torch.nn.functional.normalize(torch.randn(6, 5), dim=1)
    log_q = heads(z).detach()
    assert torch.allclose(log_q.exp().sum(dim=2), torch.ones(3, 6), atol=1e-6)
    assert torch.allclose(heads(z, slice(1, 2))[0], log_q[1], atol=1e-6)
    # Two logits differ by at most two cosines over the temperature.
    assert float((log_q[..., 0] - log_q[..., 1]).abs().max()) <= 20 + 1e-4


def test_a_prior_takes_the_place_of_equal_sizes() -> None:
    """Of pairs that are sure of one cluster the mean loss is KL(sizes ‖ prior) - log k."""
    sizes = torch.tensor([0.7, 0.2, 0.1], dtype=torch.float64)
    labels = torch.tensor([0] * 7 + [1] * 2 + [2])
    sure = torch.eye(3, dtype=torch.float64)[labels].clamp_min(1e-30).log().unsqueeze(0)
    for given, prior in (("null", [1 / 3] * 3), ("[0.5, 0.3, 0.2]", [0.5, 0.3, 0.2]), ("learned", None)):
        settings = (f"cluster.prior={given}", "cluster.prior_freedom=0.5", "cluster.heads=1", "cluster.beta=1.0")
        method = TEMI(config("clusters=3", *settings), ImageShape(1, 8, 8))
        objective = objective_of(method)
        objective.sizes.value = sizes.unsqueeze(0)
        loss = float(objective.losses(torch.cat([sure, sure], dim=1), torch.cat([sure, sure], dim=1)))
        expected = torch.tensor(prior or [(1 / 3 + size) / 2 for size in sizes.tolist()], dtype=torch.float64)
        assert loss == pytest.approx(float((sizes * (sizes / expected).log()).sum()) - math.log(3), rel=1e-4)
