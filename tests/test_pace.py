"""PACE: its losses by hand, the choice of a head, the target it labels itself with, resume, and a toy set."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from configs.schema import AugmentationSettings, OptimiserSettings, RuntimeSettings
from data.sources import load
from engine.checkpoint import read_checkpoint, write_checkpoint
from engine.fit import fit
from engine.processes import launch
from engine.randomness import BatchNoise, seed_all
from engine.restore import restore
from evaluation.agreement import agreement
from evaluation.contingency import contingency
from losses.dec import target_distribution
from methods.former_names import OF_PACE
from methods.pace import PACE, WALKS_AT_LAST, PACEConfig
from methods.resolve import resolve_config
from methods.scan import SCANConfig
from models.autoencoder import ImageShape
from models.oriented_gradients import HOGSettings, OrientedGradients
from models.settings import ConvLayer, ConvSettings
from parts.contrastive_pretraining import ContrastivePretrainSettings
from parts.phases import Batch, GradientPhase
from parts.self_labelling import SelfLabelObjective, SelfLabelSettings
from tests.joint_runs import run, whole_and_resumed
from tests.small import small_config
from tests.test_dec import bars

SHAPE = ImageShape(1, 8, 8)
STRONG = AugmentationSettings(shift=0.15, brightness=0.5, contrast=0.5)
SHIFTS = AugmentationSettings(shift=0.05, brightness=0.3)
NETWORK = ConvSettings(latent=8, layers=(ConvLayer(channels=8, kernel=3),), hidden=(), batch_norm=True)


def config(**cluster: Any) -> PACEConfig:
    return PACEConfig.model_validate(
        {
            "clusters": 4,
            "model": NETWORK,
            "pretrain": ContrastivePretrainSettings(epochs=6, min_steps=0, batch_size=50, augmentation=SHIFTS),
            "cluster": {
                "heads": 6,
                "neighbours": 5,
                "walk": 2,
                "epochs": 10,
                "min_steps": 0,
                "batch_size": 100,
                **cluster,
            },
            "self_label": {
                "augmentation": SHIFTS,
                "max_epochs": 2,
                "min_steps": 0,
                "batch_size": 50,
                "update_interval": 4,
                "tol": 0.0,
                "optimiser": OptimiserSettings(learning_rate=1e-3),
            },
            "runtime": {"device": "cpu"},
        }
    )


def built(**cluster: Any) -> PACE:
    seed_all(0)
    return PACE(config(**cluster), SHAPE)


def batch(images: Tensor, indices: Tensor, seed: int = 0) -> Batch:
    n = len(indices)
    return Batch(images[indices], indices, BatchNoise(seed, n, slice(0, n), torch.device("cpu")))


def test_a_separable_set_is_found() -> None:
    images = bars()
    seed_all(0)
    longer = config(heads=20).model_dump() | {
        # Strong enough to hide every image's own noise, and too weak to take a bar to another side.
        "pretrain": ContrastivePretrainSettings(epochs=20, min_steps=0, batch_size=100, augmentation=STRONG),
    }
    method = PACE(PACEConfig.model_validate(longer), SHAPE)
    run(method, images.images)
    assert images.labels is not None
    assert agreement(contingency(images.labels, method.assign(images.images).labels))["acc"] > 0.98


def test_neighbours_are_the_nearest_other_images() -> None:
    images = bars(60).images
    method = built()
    phases = method.phases(images, launch(method.config.runtime))
    assert [phase.name for phase in phases] == ["pretrain", "neighbours", "cluster", "select", "self-label"]
    phases[1].fit()  # type: ignore[union-attr]
    z = method.embed(images)
    distances = torch.cdist(z.double(), z.double())
    distances.fill_diagonal_(math.inf)
    found = method.neighbourhood.indices
    assert found is not None
    nearest = distances.topk(5, largest=False)
    assert torch.allclose(distances.gather(1, found), nearest.values, atol=1e-6)


def test_the_heads_loss_by_hand() -> None:
    images = bars(40).images
    method = built(prior=(0.1, 0.2, 0.3, 0.4), entropy=1.5, jaccard=0.0)
    phases = method.phases(images, launch(method.config.runtime))
    phases[1].fit()  # type: ignore[union-attr]
    objective = phases[2]
    assert isinstance(objective, GradientPhase)
    indices = torch.tensor([3, 7, 11])
    losses = objective.module(batch(images, indices))

    uniform = BatchNoise(0, 3, slice(0, 3), torch.device("cpu")).uniform(2)
    graph = method.neighbourhood.indices
    assert graph is not None
    partners = [graph[graph[i, int(5 * u)], int(5 * v)] for i, (u, v) in zip(indices, uniform, strict=True)]
    z = method.embed(images)
    expected = []
    for head in range(6):
        weight, bias = method.heads.weight[head].detach(), method.heads.bias[head].detach()
        p = (z @ weight + bias).softmax(dim=1)
        pairs = [(p[i], p[j]) for i, j in zip(indices, partners, strict=True)]
        disagreement = -sum(math.log(float(a @ b)) for a, b in pairs) / 3
        mean = torch.stack([row for pair in pairs for row in pair]).mean(dim=0)
        prior = torch.tensor([0.1, 0.2, 0.3, 0.4])
        expected.append(disagreement + 1.5 * float((mean * (mean / prior).log()).sum()))
    assert losses["loss"].item() == pytest.approx(sum(expected), rel=1e-4)
    assert losses["lowest"].item() == pytest.approx(min(expected), rel=1e-4)


def test_the_head_of_lowest_loss_over_all_images_is_taken() -> None:
    images = bars(40).images
    method = built()
    phases = method.phases(images, launch(method.config.runtime))
    phases[1].fit()  # type: ignore[union-attr]
    phases[3].fit()  # type: ignore[union-attr]
    z = method.embed(images)
    generator = torch.Generator().manual_seed(method.config.seed)
    ends = [
        method.neighbourhood.partners(torch.arange(40), torch.rand(40, 2, generator=generator)).tolist()
        for _ in range(WALKS_AT_LAST)
    ]
    losses = []
    for head in range(6):
        p = (z @ method.heads.weight[head] + method.heads.bias[head]).softmax(dim=1).detach()
        pairs = [-math.log(float(p[i] @ p[end[i]])) for end in ends for i in range(40)]
        mean = p.mean(dim=0)
        losses.append(sum(pairs) / len(pairs) + 3.0 * float((mean * (mean * 4).log()).sum()))
    assert method.neighbourhood.own_losses is not None
    assert method.neighbourhood.own_losses.tolist() == pytest.approx(losses, rel=1e-4)
    best = losses.index(min(losses))
    assert torch.equal(method.head.weight[0], method.heads.weight[best])
    assert not torch.equal(method.head.weight[0], method.heads.weight[best - 1])


def test_it_labels_itself_by_the_clean_images_target() -> None:
    images = bars(40).images
    method = built()
    phase = method.phases(images, launch(method.config.runtime))[-1]
    assert isinstance(phase, GradientPhase)
    assert phase.refresh is not None
    labels = phase.refresh()
    q = method.assign(images).probabilities
    assert q is not None
    assert torch.equal(labels, q.argmax(dim=1))
    assert method.target.p is not None
    assert torch.allclose(method.target.p, target_distribution(q), atol=1e-5)
    everything = torch.arange(40)
    first, second = (phase.module(batch(images, everything, seed))["loss"].item() for seed in (0, 1))
    assert first != second  # augmented views


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_images_that_are_not_confident_do_not_count(share: float) -> None:
    images = bars(40).images
    method = built()
    compute = launch(method.config.runtime)
    method.phases(images, compute)[1].fit()  # type: ignore[union-attr]
    p = torch.rand(40, 4, generator=torch.Generator().manual_seed(0)).softmax(dim=1)
    method.target.p = p
    largest = p.amax(dim=1)
    confidence = float(largest.sort().values[int(40 * (1 - share))]) if share else 1.0
    settings = SelfLabelSettings(augmentation=AugmentationSettings(), confidence=confidence)
    backbone = method.backbone
    objective = SelfLabelObjective(
        backbone.normalise, backbone.branch(False), method.axes, method.head, method.target, settings, compute
    ).eval()
    losses = objective(batch(images, torch.arange(40)))
    losses["loss"].backward()
    q = method.assign(images).probabilities
    assert q is not None
    terms = [sum(float(a * (a / b).log()) for a, b in zip(p[i], q[i], strict=True)) for i in range(40)]
    counted = [term for term, most in zip(terms, largest, strict=True) if most >= confidence]
    assert losses["confident"].item() == pytest.approx(share)
    assert losses["loss"].item() == pytest.approx(sum(counted) / max(len(counted), 1), rel=1e-4)
    assert method.head.weight.grad is not None
    assert bool(method.head.weight.grad.any()) == bool(counted)


def test_a_head_is_trained_as_it_would_be_alone() -> None:
    images = bars(40).images
    gradients = []
    for heads in (6, 1):
        method = built(heads=heads)
        reference = built(heads=6)
        method.backbone.load_state_dict(reference.backbone.state_dict())
        with torch.no_grad():
            method.heads.weight.copy_(reference.heads.weight[:heads])
        phases = method.phases(images, launch(method.config.runtime))
        phases[1].fit()  # type: ignore[union-attr]
        phases[2].module(batch(images, torch.arange(20)))["loss"].backward()
        assert method.heads.weight.grad is not None
        gradients.append(method.heads.weight.grad[0])
    assert torch.allclose(gradients[0], gradients[1], atol=1e-6)


def test_resumed_it_ends_with_the_same_bits() -> None:
    """24 steps of pretraining, 20 of the heads, 8 of self-labelling."""
    whole_and_resumed(built, bars(200).images, (24 + 3, 24 + 17, 24 + 20 + 5))


def test_its_passes_over_all_images_become_rarer_as_in_other_methods() -> None:
    method = built()
    for count, interval in ((60_000, 4), (120_000, 8)):
        images = torch.zeros(count, 1, 8, 8, dtype=torch.uint8)
        phase = method.phases(images, launch(method.config.runtime))[-1]
        assert isinstance(phase, GradientPhase)
        assert phase.refresh_interval == interval


def test_a_prior_that_is_none_is_refused() -> None:
    with pytest.raises(ValidationError, match=r"must hold 4 shares that sum to 1; received 3 with the sum 1\b"):
        config(prior=(0.2, 0.3, 0.5))


def test_what_the_head_sees_is_the_feature_and_the_gradients_beside_it() -> None:
    images = bars(60).images
    method = built(hog={"components": 5, "weight": 1.5})
    method.phases(images, launch(method.config.runtime))[1].fit()  # type: ignore[union-attr]
    z = method.embed(images).double()
    assert z.shape == (60, 8 + 5)
    assert method.space == "feature (13-d)"
    gradients = OrientedGradients(SHAPE, HOGSettings())(images / 255).double()
    gradients -= gradients.mean(dim=0)
    _, _, axes = torch.linalg.svd(gradients, full_matrices=False)
    coordinates = gradients @ axes[:5].T
    coordinates = 1.5 * coordinates / coordinates.norm(dim=1, keepdim=True)
    both = torch.cat([method.backbone.encode(images).detach().double(), coordinates], dim=1)
    both /= both.norm(dim=1, keepdim=True)
    assert torch.allclose(z @ z.T, both @ both.T, atol=1e-4)  # axes are known up to their sign


def test_without_axes_it_is_the_feature_alone() -> None:
    images = bars(60).images
    method = built(hog={"components": 0})
    method.phases(images, launch(method.config.runtime))[1].fit()  # type: ignore[union-attr]
    assert torch.allclose(method.embed(images), method.backbone.encode(images), atol=1e-6)


def test_selection_comes_between_parts_of_equal_length_and_leaves_the_last_two_alone() -> None:
    images = bars(60).images
    method = built(epochs=20, generations=3, batch_size=20)
    phases = method.phases(images, launch(method.config.runtime))
    phases[1].fit()  # type: ignore[union-attr]
    cluster = phases[2]
    assert isinstance(cluster, GradientPhase)
    assert cluster.restart is not None
    seed_all(0)
    assert [epoch for epoch in range(1, 20) if cluster.restart(epoch)] == [4, 8, 12]


def test_a_run_of_the_time_when_it_was_called_scan_is_read_as_pace(tmp_path: Path) -> None:
    images = load("digits").subset(torch.arange(100))
    fitted = fit(small_config("pace"), images, processes=launch(RuntimeSettings(device="cpu")))
    old = replace(fitted.checkpoint, config=fitted.checkpoint.config | {"method": "scan"})
    write_checkpoint(tmp_path / "checkpoint.pt", old)
    config, method = restore(read_checkpoint(tmp_path / "checkpoint.pt"), "old")
    assert config.method == "pace"
    assert torch.equal(method.assign(images.images).labels, fitted.assignments.labels)


@pytest.mark.parametrize(
    "settings",
    [
        "cluster: {generations: 2}",
        "cluster: {walk: 1}",
        "cluster: {hog: {components: 0}}",
        "cluster: {jaccard: 0, mutation: 1}",
        "self_label: {max_epochs: 3}",
    ],
)
def test_a_file_of_that_time_is_read_as_pace(tmp_path: Path, settings: str) -> None:
    file = tmp_path / "old.yaml"
    file.write_text(f"method: scan\n{settings}\n")
    config = resolve_config(None, file, ["cluster.heads=3"], {})
    assert isinstance(config, PACEConfig)
    assert config.cluster.heads == 3


def test_what_scan_has_today_stays_scan(tmp_path: Path) -> None:
    file = tmp_path / "new.yaml"
    file.write_text("method: scan\ncluster: {heads: 2, neighbours: 5}\nself_label: {epochs: 3}\n")
    assert resolve_config(None, file, [], {}).method == "scan"
    pace, scan = PACEConfig(), SCANConfig()
    later = {"known"}  # came after the name
    of_pace = type(pace.cluster).model_fields.keys() - type(scan.cluster).model_fields.keys() - later
    assert of_pace == OF_PACE["cluster"]
    assert type(scan.self_label).model_fields.keys().isdisjoint(OF_PACE["self_label"])
    assert SelfLabelSettings.model_fields.keys() >= OF_PACE["self_label"]
