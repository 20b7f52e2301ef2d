"""TURTLE: its equations by hand and by autograd, a step, its inner optimiser, the start that it takes, resume."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from engine.processes import launch
from engine.randomness import BatchNoise, seed_all
from evaluation.agreement import agreement
from evaluation.contingency import contingency
from losses.turtle import mean_labelling, soft_cross_entropy, soft_cross_entropy_gradient
from methods.resolve import resolve_config
from methods.turtle import TURTLE, LabellingObjective, TURTLEConfig
from models.autoencoder import ImageShape
from models.task_encoders import TaskEncoder
from parts.frozen_backbone import FrozenBackbone
from parts.inner_classifiers import InnerClassifiers, with_ones
from parts.phases import Batch, GradientPhase
from report.onnx_file import write_onnx
from tests.joint_runs import run, whole_and_resumed
from tests.test_dec import bars
from tests.tiny_network import tiny_network_yaml

IMAGES = bars(120)
SHAPE = ImageShape(1, 8, 8)
NETWORK = "model={name: conv, latent: 4, layers: [{channels: 8, kernel: 4}], hidden: [], batch_norm: true}"
PRETRAIN = "pretrain={epochs: 2, min_steps: 60, batch_size: 40, augmentation: {shift: 0.1, flip: 0, crop: 0.2}}"
GRADIENTS = "cluster.gradients={cells: 2, components: 5}"
SHORT = (
    *("clusters=4", "cluster.batch_size=60", "cluster.min_steps=300"),
    *("cluster.optimiser.learning_rate=1e-2", "cluster.inner.learning_rate=1e-2", "runtime.device=cpu"),
)


def config(*settings: str) -> TURTLEConfig:
    found = resolve_config("turtle", None, [NETWORK, PRETRAIN, *SHORT, *settings], {})
    assert isinstance(found, TURTLEConfig)
    return found


def drawn(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_the_error_on_soft_labels_by_hand() -> None:
    p = torch.tensor([[0.9, 0.1], [0.5, 0.5]], dtype=torch.float64)
    labels = torch.tensor([[0.7, 0.3], [1.0, 0.0]], dtype=torch.float64)
    wanted = -(0.7 * math.log(0.9) + 0.3 * math.log(0.1) + math.log(0.5)) / 2
    assert float(soft_cross_entropy(p.log(), labels)) == pytest.approx(wanted)


def test_the_labelling_is_the_mean_of_the_probabilities() -> None:
    two = torch.tensor([[[[0.9, 0.1]]], [[[0.2, 0.8]]]], dtype=torch.float64)
    assert mean_labelling(two.log()).flatten().tolist() == pytest.approx([0.55, 0.45])


def test_the_gradient_of_the_classifiers_is_that_of_autograd() -> None:
    z, weight = drawn(7, 3, seed=0), drawn(2, 3, 4, seed=1).requires_grad_()
    labels = drawn(2, 7, 4, seed=2).softmax(dim=2)
    log_p = (z @ weight).log_softmax(dim=2)
    wanted = torch.autograd.grad(soft_cross_entropy(log_p, labels).sum(), weight)[0]
    assert torch.allclose(soft_cross_entropy_gradient(z, log_p.detach(), labels), wanted)


def test_the_inner_steps_are_those_of_adam_and_go_on_where_they_were() -> None:
    seed_all(0)
    classifiers, compute = InnerClassifiers(2, 3, 4, rate=0.1), launch(config().runtime)
    own = nn.Parameter(classifiers.weight.clone())
    adam = torch.optim.Adam([own], lr=0.1)
    z, labels = drawn(7, 3, seed=0).float(), drawn(2, 7, 4, seed=2).softmax(dim=2).float()
    for steps in (3, 2):
        classifiers.learn(z, labels, steps, compute)
        for _ in range(steps):
            adam.zero_grad()
            log_p = (with_ones(z) @ own).log_softmax(dim=2)
            soft_cross_entropy(log_p, labels).sum().backward()
            adam.step()
        assert torch.allclose(classifiers.weight, own.detach(), atol=1e-5)
    assert torch.allclose(classifiers(z), (z @ own[:, :3] + own[:, 3:]).log_softmax(dim=2).detach(), atol=1e-5)


def test_a_labelling_is_that_of_torchs_weight_norm() -> None:
    seed_all(0)
    encoder, z = TaskEncoder(2, 3, 4), drawn(7, 3, seed=0).float()
    with torch.no_grad():
        encoder.length.mul_(2)
    for start in range(2):
        layer = nn.utils.parametrizations.weight_norm(nn.Linear(3, 4))
        with torch.no_grad():
            layer.parametrizations.weight.original0.copy_(encoder.length[start].unsqueeze(1))
            layer.parametrizations.weight.original1.copy_(encoder.direction[start].T)
            layer.bias.copy_(encoder.bias[start])
        assert torch.allclose(encoder(z)[start], layer(z).log_softmax(dim=1), atol=1e-6)


def run_first(method: TURTLE) -> None:
    """The axes of the gradients, without the rest."""
    phase = method.phases(IMAGES.images, launch(method.config.runtime))[1]
    assert phase.name == "gradients"
    phase.fit()  # type: ignore[union-attr]


def objective_of(method: TURTLE) -> LabellingObjective:
    phase = method.phases(IMAGES.images, launch(method.config.runtime))[-2]
    assert isinstance(phase, GradientPhase)
    assert isinstance(phase.module, LabellingObjective)
    return phase.module


def test_loss_and_gradient_of_a_step_by_hand() -> None:
    seed_all(0)
    method = TURTLE(config(GRADIENTS, "cluster.starts=2", "cluster.gamma=3", "cluster.inner.steps=2"), SHAPE)
    run_first(method)
    objective = objective_of(method)
    indices = torch.tensor([3, 50, 7, 99])
    batch = Batch(IMAGES.images[indices], indices, BatchNoise(0, 4, slice(0, 4), torch.device("cpu")))
    before = [classifier.weight.clone() for classifier in objective.classifiers]
    losses = objective(batch)
    losses["loss"].backward()
    found = [parameter.grad for parameter in objective.parameters()]
    assert all(not old.equal(new.weight) for old, new in zip(before, objective.classifiers, strict=True))

    z = method.embed(IMAGES.images)[indices]
    assert z.shape == (4, 4 + 5)
    parts = [functional.normalize(z[:, :4], dim=1) * 2, functional.normalize(z[:, 4:], dim=1) * 5**0.5]
    each = []
    for start in (0, 1):
        taus = [encoder(part)[start].exp() for encoder, part in zip(method.labellings.encoders, parts, strict=True)]
        tau, loss = (taus[0] + taus[1]) / 2, torch.tensor(0.0)
        for part, classifier, its in zip(parts, objective.classifiers, taus, strict=True):
            log_p = (part @ classifier.weight[start, :-1] + classifier.weight[start, -1]).log_softmax(dim=1)
            entropy = -(its.mean(dim=0) * its.mean(dim=0).log()).sum()
            loss = loss - (tau * log_p).sum(dim=1).mean() + 3 * (math.log(4) - entropy)
        each.append(loss)
    assert losses["loss"].item() == pytest.approx(sum(loss.item() for loss in each), rel=1e-5)
    assert losses["lowest"].item() == pytest.approx(min(loss.item() for loss in each), rel=1e-5)
    wanted = torch.autograd.grad(each[0] + each[1], list(objective.parameters()))
    assert all(torch.allclose(f, w, atol=1e-5) for f, w in zip(found, wanted, strict=True) if f is not None)
    assert None not in found


def test_the_answer_is_the_labelling_of_lowest_loss_over_all_images() -> None:
    seed_all(0)
    method = TURTLE(config(GRADIENTS, "cluster.starts=4", "cluster.min_steps=20", "cluster.epochs=1"), SHAPE)
    run(method, IMAGES.images)
    objective = objective_of(method)
    losses = objective.own_losses()
    everyone = torch.arange(len(IMAGES.images))
    spaces = method.labellings.spaces(method.embed(IMAGES.images)[everyone])
    labels = mean_labelling(method.labellings(spaces))
    errors = sum(
        -(labels * classifier(space)).sum(dim=2).mean(dim=1)
        for classifier, space in zip(method.classifiers, spaces, strict=True)
    )
    sizes = method.labellings(spaces).exp().mean(dim=2)
    unevenness = sum(math.log(4) + (share * share.log()).sum(dim=1) for share in sizes)
    assert torch.allclose(losses, (errors + 10 * unevenness).detach(), atol=1e-4)
    best = int(losses.argmin())
    assert len(losses.unique()) == 4
    answer = method.assign(IMAGES.images)
    assert answer.probabilities is not None
    assert torch.allclose(answer.probabilities, labels[best], atol=1e-6)
    assert torch.equal(answer.labels, labels[best].argmax(dim=1))


@pytest.mark.parametrize("more", [(), (GRADIENTS,)])
def test_classes_that_lie_apart_are_found(more: tuple[str, ...]) -> None:
    seed_all(0)
    method = TURTLE(config(*more), SHAPE)
    run(method, IMAGES.images)
    assert IMAGES.labels is not None
    found = agreement(contingency(IMAGES.labels, method.assign(IMAGES.images).labels))["acc"]
    assert float(found) > 0.98


def test_resumed_it_ends_with_the_same_bits() -> None:
    def build() -> TURTLE:
        seed_all(0)
        return TURTLE(config(GRADIENTS, "cluster.starts=2", "cluster.min_steps=10", "cluster.epochs=1"), SHAPE)

    whole_and_resumed(build, IMAGES.images, [63, 66])


def test_a_frozen_network_sees_every_image_once_beside_the_gradients(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    encode = FrozenBackbone.encode

    def counted(backbone: FrozenBackbone, images: Tensor, *rest: Any) -> Tensor:
        seen.append(len(images))
        return encode(backbone, images, *rest)

    monkeypatch.setattr(FrozenBackbone, "encode", counted)
    settings = [f"pretrain={{objective: frozen, {tiny_network_yaml()}}}", GRADIENTS, "cluster.min_steps=2"]
    found = resolve_config("turtle", None, [*SHORT, *settings, "cluster.epochs=1"], {})
    assert isinstance(found, TURTLEConfig)
    method = TURTLE(found, SHAPE)
    run(method, IMAGES.images)
    method.assign(IMAGES.images)
    assert sum(seen) == len(IMAGES.images)


def test_its_network_is_written_as_onnx(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    method = TURTLE(config(GRADIENTS), SHAPE)
    run_first(method)
    assert write_onnx(tmp_path / "turtle.onnx", method.eval(), IMAGES) < 1e-5
