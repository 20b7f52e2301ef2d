"""SCAN: its losses by hand, the choice of a head, its confident labels and their balance, resume, and a toy set."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from configs.schema import AugmentationSettings, OptimiserSettings
from engine.processes import launch
from engine.randomness import BatchNoise, seed_all
from evaluation.agreement import agreement
from evaluation.contingency import contingency
from losses.self_labelling import balanced_cross_entropy
from methods.scan import SCAN, NeighbourObjective, SCANConfig, SelfLabelObjective
from models.autoencoder import ImageShape
from models.settings import ConvLayer, ConvSettings
from parts.contrastive_pretraining import ContrastivePretrainSettings
from parts.phases import Batch, FitPhase, GradientPhase, Phase
from tests.joint_runs import run, whole_and_resumed
from tests.test_dec import bars

SHAPE = ImageShape(1, 8, 8)
WIDE = AugmentationSettings(shift=0.15, brightness=0.5, contrast=0.5)
SHIFTS = AugmentationSettings(shift=0.05, brightness=0.3)
CLEAN = AugmentationSettings()
NETWORK = ConvSettings(latent=8, layers=(ConvLayer(channels=8, kernel=3),), hidden=(), batch_norm=True)
FAST = OptimiserSettings(learning_rate=3e-3)


def config(
    self_label: dict[str, Any] | None = None, pretrain: dict[str, Any] | None = None, **cluster: Any
) -> SCANConfig:
    pretraining = {"epochs": 6, "min_steps": 0, "batch_size": 50, "augmentation": SHIFTS, **(pretrain or {})}
    small = {"min_steps": 0, "batch_size": 50, "augmentation": SHIFTS, "optimiser": FAST}
    return SCANConfig.model_validate(
        {
            "clusters": 4,
            "model": NETWORK,
            "pretrain": ContrastivePretrainSettings(**pretraining),
            "cluster": {**small, "heads": 3, "neighbours": 5, "epochs": 5, **cluster},
            "self_label": {**small, "confidence": 0.4, "epochs": 2, **(self_label or {})},
            "runtime": {"device": "cpu"},
        }
    )


def built(**changes: Any) -> SCAN:
    seed_all(0)
    return SCAN(config(**changes), SHAPE).eval()


def phases_of(method: SCAN, images: Tensor) -> dict[str, Phase]:
    return {phase.name: phase for phase in method.phases(images, launch(method.config.runtime))}


def fit(phase: Phase) -> None:
    assert isinstance(phase, FitPhase)
    phase.fit()


def noise(n: int, seed: int = 0) -> BatchNoise:
    return BatchNoise(seed, n, slice(0, n), torch.device("cpu"))


def probabilities(method: SCAN, images: Tensor, head: int) -> Tensor:
    """By the definition, with batch-norm's running statistics."""
    z = method.embed(images)
    return (z @ method.heads.weight[head].detach() + method.heads.bias[head].detach()).softmax(dim=1)


def eq_2(pairs: list[tuple[Tensor, Tensor]], mean: Tensor, entropy: float) -> float:
    """-mean log <p, q> - λ H(mean p), and λ log k."""
    apart = -sum(math.log(float(p @ q)) for p, q in pairs) / len(pairs)
    spread = -float((mean * mean.log()).sum())
    return apart - entropy * spread + entropy * math.log(len(mean))


def test_a_separable_set_is_found() -> None:
    images = bars()
    seed_all(0)
    longer = {"epochs": 20, "batch_size": 100, "augmentation": WIDE}
    method = SCAN(config(pretrain=longer, epochs=15, self_label={"confidence": 0.9}), SHAPE)
    run(method, images.images)
    assert images.labels is not None
    assert agreement(contingency(images.labels, method.assign(images.images).labels))["acc"] > 0.98


def test_phases_and_neighbours_are_the_nearest_other_images() -> None:
    images = bars(60).images
    method = built()
    phases = phases_of(method, images)
    assert list(phases) == ["pretrain", "neighbours", "cluster", "select", "self-label"]
    fit(phases["neighbours"])
    z = method.embed(images)
    distances = torch.cdist(z.double(), z.double())
    distances.fill_diagonal_(math.inf)
    found = method.neighbourhood.indices
    assert found is not None
    assert torch.allclose(distances.gather(1, found), distances.topk(5, largest=False).values, atol=1e-6)


def test_the_clustering_loss_by_hand() -> None:
    images = bars(40).images
    method = built(augmentation=CLEAN, entropy=2.5)
    phases = phases_of(method, images)
    fit(phases["neighbours"])
    objective = phases["cluster"].module.eval()
    assert isinstance(objective, NeighbourObjective)
    indices = torch.tensor([3, 7, 11])
    losses = objective(Batch(images[indices], indices, noise(3)))

    graph = method.neighbourhood.indices
    assert graph is not None
    partners = [int(graph[i, int(5 * u)]) for i, u in zip(indices, noise(3).uniform(1)[:, 0], strict=True)]
    expected = []
    for head in range(3):
        p = probabilities(method, images, head)
        pairs = [(p[i], p[j]) for i, j in zip(indices, partners, strict=True)]
        expected.append(eq_2(pairs, p[indices].mean(dim=0), 2.5))
    assert losses["loss"].item() == pytest.approx(sum(expected), rel=1e-4)
    assert losses["lowest"].item() == pytest.approx(min(expected), rel=1e-4)


def test_a_neighbour_is_any_of_them_and_both_images_are_augmented() -> None:
    images = bars(40).images
    method = built(augmentation=SHIFTS)
    phases = phases_of(method, images)
    fit(phases["neighbours"])
    graph = method.neighbourhood.indices
    assert graph is not None
    drawn = method.neighbourhood.partners(torch.zeros(500, dtype=torch.int64), noise(500).uniform(1))
    counts = [int((drawn == neighbour).sum()) for neighbour in graph[0]]
    assert sum(counts) == 500
    assert all(70 < count < 130 for count in counts)
    seen: list[Tensor] = []
    objective = phases["cluster"].module.eval()
    assert isinstance(objective, NeighbourObjective)
    objective.pairs.classifier.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    indices = torch.arange(4)
    objective(Batch(images[indices], indices, noise(4)))
    drawn = method.neighbourhood.partners(indices, noise(4).uniform(1))
    clean = torch.cat([images[indices], images[drawn]]) / 255
    assert seen[0].shape == clean.shape
    assert all(not torch.allclose(view, image) for view, image in zip(seen[0], clean, strict=True))
    assert float((seen[0] - clean).abs().mean()) < float((seen[0] - clean.roll(4, 0)).abs().mean())


def test_the_clustering_step_trains_encoder_and_heads() -> None:
    images = bars(40).images
    method = built()
    phases = phases_of(method, images)
    fit(phases["neighbours"])
    indices = torch.arange(20)
    phases["cluster"].module(Batch(images[indices], indices, noise(20)))["loss"].backward()
    weights = [*method.backbone.encoder.parameters(), *method.heads.parameters()]
    assert all(weight.grad is not None for weight in weights)
    assert all(bool(weight.grad.any()) for weight in weights if weight.dim() > 1 and weight.grad is not None)


def test_the_head_of_lowest_loss_over_all_images_is_taken() -> None:
    images = bars(40).images
    method = built(entropy=2.5)
    phases = phases_of(method, images)
    fit(phases["neighbours"])
    with torch.no_grad():
        method.heads.weight[2] *= 0.1  # undecided between all clusters: a loss of its own
    fit(phases["select"])
    graph = method.neighbourhood.indices
    assert graph is not None
    losses = []
    for head in range(3):
        p = probabilities(method, images, head)
        pairs = [(p[i], p[j]) for i in range(40) for j in graph[i]]
        losses.append(eq_2(pairs, p.mean(dim=0), 2.5))
    assert method.neighbourhood.own_losses is not None
    assert method.neighbourhood.own_losses.tolist() == pytest.approx(losses, rel=1e-4)
    best = losses.index(min(losses))
    assert torch.equal(method.head.weight[0], method.heads.weight[best])
    assert not torch.equal(method.head.weight[0], method.heads.weight[best - 1])
    answer = method.assign(images).probabilities
    assert answer is not None
    assert torch.allclose(answer, probabilities(method, images, best), atol=1e-5)


def test_confident_images_label_themselves_and_clusters_count_alike() -> None:
    images = bars(40).images
    settings = {"augmentation": CLEAN}
    method = built(self_label=settings)
    phases = phases_of(method, images)
    fit(phases["neighbours"])
    fit(phases["select"])
    q = method.assign(images).probabilities
    assert q is not None
    threshold = float(q.amax(dim=1).sort().values[15])  # an image at the threshold does not count: 24 of 40 do
    method = built(self_label={**settings, "confidence": threshold})
    phases = phases_of(method, images)
    fit(phases["neighbours"])
    fit(phases["select"])
    losses = phases["self-label"].module.eval()(Batch(images, torch.arange(40), noise(40)))

    by_label: dict[int, list[float]] = {}
    for row in q:
        if float(row.max()) > threshold:
            by_label.setdefault(int(row.argmax()), []).append(-math.log(float(row.max())))
    counted = sum(map(len, by_label.values()))
    # The weight of an image is the number of those that count over the number of those of its label.
    weighted = [(counted / len(found), loss) for found in by_label.values() for loss in found]
    expected = sum(weight * loss for weight, loss in weighted) / sum(weight for weight, _ in weighted)
    assert counted == 24
    assert losses["confident"].item() == pytest.approx(24 / 40)
    assert losses["loss"].item() == pytest.approx(expected, rel=1e-4)


def test_labels_are_the_clean_images_and_carry_no_gradient() -> None:
    images = bars(40).images
    method = built(self_label={"confidence": 0.0, "augmentation": WIDE})
    phases = phases_of(method, images)
    fit(phases["neighbours"])
    fit(phases["select"])
    objective = phases["self-label"].module.eval()
    assert isinstance(objective, SelfLabelObjective)
    seen: list[Tensor] = []
    objective.classifier.register_forward_hook(lambda _, args, out: seen.extend((args[0], out[0])))
    loss = objective(Batch(images, torch.arange(40), noise(40)))["loss"]
    clean, clean_log_p, view, view_log_p = seen
    assert torch.equal(clean, images / 255)
    assert not torch.allclose(view, clean)
    labels = clean_log_p.argmax(dim=1)
    nll = -view_log_p.detach().gather(1, labels.unsqueeze(1))[:, 0]
    means = [nll[labels == c].mean() for c in range(4) if bool((labels == c).any())]
    assert loss.item() == pytest.approx(float(torch.stack(means).mean()), rel=1e-4)
    (gradient,) = torch.autograd.grad(loss, clean_log_p, allow_unused=True)
    assert gradient is None


def test_without_a_confident_image_nothing_is_learned() -> None:
    images = bars(40).images
    method = built(self_label={"confidence": 1.0})
    phases = phases_of(method, images)
    fit(phases["neighbours"])
    losses = phases["self-label"].module(Batch(images, torch.arange(40), noise(40)))
    losses["loss"].backward()
    assert losses["loss"].item() == losses["confident"].item() == 0
    assert not any(bool(p.grad.any()) for p in phases["self-label"].module.parameters() if p.grad is not None)


def test_the_balanced_loss_is_torchs_weighted_cross_entropy_and_the_mean_over_parts() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(12, 4, generator=generator)
    label = torch.tensor([0, 0, 0, 1, 2, 0, 0, 2, 1, 0, 0, 0])
    counts = torch.tensor([8, 2, 2])
    expected = torch.nn.functional.cross_entropy(logits, label, weight=torch.cat([12 / counts, torch.ones(1)]))
    log_q, labels = logits.log_softmax(dim=1), torch.nn.functional.one_hot(label, 4).float()
    shares = labels.mean(dim=0)
    assert balanced_cross_entropy(log_q, labels, shares).item() == pytest.approx(expected.item(), rel=1e-5)
    parts = [balanced_cross_entropy(log_q[rows], labels[rows], shares) for rows in (slice(0, 6), slice(6, 12))]
    assert sum(parts).item() / 2 == pytest.approx(expected.item(), rel=1e-5)  # type: ignore[union-attr]


def test_resumed_it_ends_with_the_same_bits() -> None:
    """24 steps of pretraining, 20 of the clustering step, 8 of self-labelling."""
    whole_and_resumed(built, bars(200).images, (24 + 3, 24 + 17, 24 + 20 + 5))


def test_without_self_labelling_the_chosen_head_is_the_answer() -> None:
    images = bars(60).images
    seed_all(0)
    method = SCAN(config().model_copy(update={"self_label": None}), SHAPE)
    assert list(phases_of(method, images)) == ["pretrain", "neighbours", "cluster", "select"]
    cluster = phases_of(method, images)["cluster"]
    assert isinstance(cluster, GradientPhase)
    assert cluster.epochs == 5
