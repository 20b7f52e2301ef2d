"""DipDECK: its losses by hand, merges of known groups, and the clusters that it finds."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from configs.schema import OptimiserSettings, PretrainSettings
from engine.processes import launch
from engine.randomness import BatchNoise, seed_all
from estimators.dip import dip, dip_p_value
from estimators.dip_merging import compared, merge_alike, pair_p_value
from estimators.settings import KMeansClustererSettings
from evaluation.agreement import agreement
from evaluation.contingency import contingency
from losses.dipdeck import cluster_relations, inverse_spacing, related_distance
from methods.dipdeck import REMEDY, DipDECK, DipDECKConfig
from models.autoencoder import ImageShape
from models.settings import DenseSettings
from parts.phases import Batch, GradientPhase
from tests.joint_runs import run, whole_and_resumed
from tests.small import run_phases
from tests.test_dec import bars

IMAGES = bars()
ADAM = OptimiserSettings(learning_rate=1e-3)


def built(**cluster: object) -> DipDECK:
    seed_all(0)
    config = DipDECKConfig.model_validate(
        {
            "model": DenseSettings(hidden=(32,), latent=3),
            "pretrain": PretrainSettings(epochs=10, min_steps=0, batch_size=50, optimiser=ADAM),
            "initialise": KMeansClustererSettings(redos=5),
            "cluster": {"start": 10, "epochs": 4, "min_steps": 0, "batch_size": 50, "optimiser": ADAM, **cluster},
        }
    )
    return DipDECK(config, ImageShape(1, 8, 8))


def groups(*places: float, size: int = 100, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Gaussian groups of sd 1 in two dimensions, along the first."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(len(places)).repeat_interleave(size)
    points = torch.randn(len(labels), 2, generator=generator)
    points[:, 0] += torch.tensor(places)[labels]
    return points, labels


# --- losses


def test_relations_by_hand() -> None:
    p = torch.tensor([[0.0, 0.5, 0.9], [0.5, 0.0, 0.3], [0.9, 0.3, 0.0]])
    found = cluster_relations(p, torch.tensor([True, True, True]))
    assert found[0].tolist() == pytest.approx([1 / 2.4, 0.5 / 2.4, 0.9 / 2.4])
    without = cluster_relations(p, torch.tensor([True, True, False]))
    assert without.flatten().tolist() == pytest.approx([1 / 1.5, 0.5 / 1.5, 0, 0.5 / 1.5, 1 / 1.5, 0, 0, 0, 0])


def test_related_distance_by_hand() -> None:
    squared, relations = torch.tensor([[1.0, 4.0], [9.0, 2.0]]), torch.tensor([[0.75, 0.25], [0.4, 0.6]])
    found = related_distance(squared, torch.tensor([0, 1]), relations)
    assert found.item() == pytest.approx(((0.75 * 1 + 0.25 * 4) + (0.4 * 9 + 0.6 * 2)) / 2)


def test_inverse_spacing_by_hand() -> None:
    centres = torch.tensor([[0.0], [1.0], [3.0], [50.0]], requires_grad=True)
    found = inverse_spacing(centres, torch.tensor([True, True, True, False]))
    assert found.item() == pytest.approx((1 + math.sqrt(2 / 3)) / 2)  # distances 1, 2, 3
    found.backward()
    assert centres.grad is not None
    assert float(centres.grad[3]) == 0
    # Clusters farther apart cost less.
    assert inverse_spacing(2 * centres, torch.tensor([True, True, True, False])).item() < found.item()


@pytest.mark.parametrize(
    ("alive", "expected"), [([True, False, False], 0.0), ([True, True, False], 0.0), ([True, True, True], 0.5)]
)
def test_spacing_of_centres_in_one_place_has_a_gradient(alive: list[bool], expected: float) -> None:
    centres = torch.tensor([[1.0, 0.0], [1.0, 0.0], [1.0, 2.0]], requires_grad=True)
    found = inverse_spacing(centres, torch.tensor(alive))
    assert found.item() == pytest.approx(expected)
    found.backward()
    assert centres.grad is not None
    assert bool(centres.grad.isfinite().all())


# --- merges


def test_an_axis_with_one_mode_and_one_with_two() -> None:
    points, labels = groups(0.0, 1.0, 12.0)
    found = compared(points, labels, 4, 2.0)
    assert found.alive.tolist() == [True, True, True, False]
    assert float(found.p[0, 1]) > 0.9
    assert max(float(found.p[0, 2]), float(found.p[1, 2])) < 0.01
    assert torch.equal(found.p, found.p.T)
    assert float(found.p[3].sum() + found.p.diagonal().sum()) == 0
    axis = points[found.centres[0]] - points[found.centres[1]]
    line = (points[labels < 2].double() @ axis.double()).numpy()
    assert float(found.p[0, 1]) == pytest.approx(dip_p_value(dip(line), 200), abs=1e-6)


def test_alike_clusters_are_merged_and_others_are_not() -> None:
    points, labels = groups(0.0, 12.0, 1.0, 13.0)
    found = compared(points, labels, 4, 2.0)
    first, third = points[found.centres[[0, 2]]]
    assert merge_alike(found, points, 0.5, 2.0) == 2
    assert found.alive.tolist() == [True, True, False, False]
    assert found.labels.tolist() == [0] * 100 + [1] * 100 + [0] * 100 + [1] * 100
    aim = (first + third) / 2
    assert int(found.centres[0]) == int((points - aim).square().sum(dim=1).argmin())
    assert float(found.p[2:].sum()) == 0
    assert float(found.p.max()) < 0.05


def test_a_merged_centre_is_weighted_by_sizes() -> None:
    points = torch.linspace(0, 1, 401).unsqueeze(1)
    labels = (torch.arange(401) >= 100).long()
    found = compared(points, labels, 2, 10.0)
    assert points[found.centres].flatten().tolist() == pytest.approx([49.5 / 400, 250 / 400], abs=2e-3)
    assert merge_alike(found, points, 0.5, 10.0) == 1
    expected = (100 * float(points[49]) + 301 * 250 / 400) / 401
    assert float(points[found.centres[0]]) == pytest.approx(expected, abs=3e-3)


def test_a_small_cluster_is_no_tail_of_a_large_one() -> None:
    generator = np.random.default_rng(0)
    large, small = generator.normal(size=(2000, 1)), 4 + 0.3 * generator.normal(size=(40, 1))
    centres = np.array([[0.0], [4.0]])
    whole = dip_p_value(dip(np.concatenate([large, small])[:, 0]), 2040)
    nearest = large[np.argsort(np.abs(large[:, 0] - 4))[:80]]
    part = dip_p_value(dip(np.concatenate([nearest, small])[:, 0]), 120)
    assert part < whole
    assert pair_p_value(large, small, centres, 2.0) == pytest.approx(part)
    assert pair_p_value(small, large, centres[::-1].copy(), 2.0) == pytest.approx(part)
    assert pair_p_value(large, small, centres, 100.0) == pytest.approx(whole)


# --- the method


@pytest.mark.parametrize("start", [6, 10])
def test_too_many_clusters_become_the_groups_that_there_are(start: int) -> None:
    method = built(start=start, threshold=0.7)
    assert method.clusters == start
    state = run(method, IMAGES.images)
    assert IMAGES.labels is not None
    answer = method.assign(IMAGES.images)
    assert method.clusters == 4
    assert answer.probabilities is None
    assert agreement(contingency(IMAGES.labels, answer.labels))["acc"] > 0.98
    assert method.centroid_positions().shape == (4, 3)
    (note,) = method.notes
    assert note.startswith(f"found 4 of {start} clusters, largest p 0.")
    assert note.endswith("(merged from 0.7)")
    assert len(note) <= 80
    assert state.history[-1]["notice"] == "ended: 4 clusters, none merged for 4 epochs"


def test_one_cluster_may_be_left() -> None:
    alike = IMAGES.images[IMAGES.labels == 0]
    method = built(start=3, threshold=0.5)
    state = run(method, alike)
    assert method.clusters == 1
    assert method.assign(alike).labels.tolist() == [0] * 100
    assert state.history[-1]["notice"] == "ended: one cluster is left"
    assert method.notes == (f"all 3 clusters were merged into one, which tells no groups apart: {REMEDY}",)


def test_it_begins_with_no_more_clusters_than_images() -> None:
    method = built(start=30, epochs=1)
    run(method, IMAGES.images[:12])
    assert 1 <= method.clusters <= 12
    assert any(said in method.notes[0] for said in (f"found {method.clusters} of 12 clusters", "all 12 clusters were"))


def test_a_resumed_run_is_the_same() -> None:
    # Pretraining takes 80 steps, an epoch 8: between two epochs, and within one.
    whole_and_resumed(lambda: built(start=5, epochs=2, threshold=0.7), IMAGES.images, [88, 92])


def test_the_loss_of_a_batch_by_hand() -> None:
    """With the clusters of the last update in the first epoch after a merge, and with the nearest centre later."""
    method = built()
    phases = method.phases(IMAGES.images, launch(method.config.runtime))
    run_phases(method, IMAGES.images, method.config, phases[:2])
    phase = phases[2]
    assert isinstance(phase, GradientPhase)
    assert phase.refresh is not None
    phase.refresh()
    table, rows = method.table, torch.arange(0, 400, 40)
    assert table.labels is not None
    table.labels.copy_(table.labels.roll(7))  # so that stored and nearest differ
    table.alive[3] = False
    batch = Batch(IMAGES.images[rows], rows, BatchNoise(0, 10, slice(0, 10), torch.device("cpu")))
    z, centres = method.embed(batch.images).double(), method.embed(table.centres).double()
    living = [i for i in range(10) if i != 3]
    distances = [float((centres[i] - centres[j]).norm()) for i in living for j in living if i < j]
    spacing = (1 + np.std(distances)) / np.mean(distances)
    for age, labels in ((0, table.labels[rows].tolist()), (1, None)):
        table.age.fill_(age)
        total = 0.0
        for row in range(10):
            away = [float((z[row] - m).square().sum()) for m in centres]
            own = labels[row] if labels else min(living, key=lambda i, away=away: away[i])
            if own == 3:
                continue
            weights = {i: 1.0 if i == own else float(table.p[own, i]) for i in living}
            total += sum(w * away[i] for i, w in weights.items()) / sum(weights.values())
        losses = phase.module(batch)
        assert losses["clustering"].item() == pytest.approx(spacing * total / 10, rel=1e-4)
        weighed = losses["reconstruction"] + losses["clustering"] / 64  # of 8 × 8 pixels
        assert losses["loss"].item() == pytest.approx(weighed.item(), rel=1e-5)
