"""DEKM: scatter, basis and target against numpy, the loss by hand, the alternation and its last state."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from torch import Tensor

from configs.schema import KMeansSettings, OptimiserSettings
from engine.processes import launch
from engine.randomness import BatchNoise, seed_all
from estimators.kmeans import kmeans
from evaluation.agreement import agreement
from evaluation.contingency import contingency
from losses.dekm import drawn_to_centroids, scatter_basis, within_scatter
from methods.dekm import DEKM, DEKMConfig, DEKMSettings
from models.autoencoder import ImageShape
from parts.phases import Batch, GradientPhase
from tests.joint_runs import run, whole_and_resumed
from tests.small import run_phases
from tests.test_dec import bars, config

ADAM = OptimiserSettings(learning_rate=1e-3)
IMAGES = bars()


def small(**cluster: object) -> DEKMConfig:
    base = config().model_dump(exclude={"method", "cluster"})
    values = {"max_epochs": 5, "min_steps": 0, "batch_size": 50, "update_interval": 6, "tol": 0.0, "optimiser": ADAM}
    return DEKMConfig.model_validate({**base, "cluster": {**values, **cluster}})


def built(**cluster: object) -> DEKM:
    seed_all(0)
    return DEKM(small(**cluster), ImageShape(1, 8, 8))


def clusters(seed: int, n: int = 40, d: int = 4, k: int = 3) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, k, (n,), generator=generator)
    centroids = 5 * torch.randn(k, d, generator=generator)
    widths = torch.tensor([0.3, 2.0, 0.7, 1.1])[:d]
    z = centroids[labels] + widths * torch.randn(n, d, generator=generator)
    return z, centroids, labels


@pytest.mark.parametrize("tol", [0.0, 0.005])
def test_a_separable_set_is_found(tol: float) -> None:
    method = built(tol=tol)
    run(method, IMAGES.images)
    assert IMAGES.labels is not None
    answer = method.assign(IMAGES.images)
    assert answer.probabilities is None
    assert agreement(contingency(IMAGES.labels, answer.labels))["acc"] > 0.99


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**20))
def test_scatter_basis_and_target_against_numpy(seed: int) -> None:
    z, centroids, labels = clusters(seed)
    scatter = within_scatter(z, centroids, labels)
    plain = np.zeros((4, 4))
    for i in range(3):
        for h in z[labels == i].double().numpy():
            away = (h - centroids[i].double().numpy())[:, None]
            plain += away @ away.T
    assert np.allclose(scatter.numpy(), plain)

    basis = scatter_basis(scatter)
    values, vectors = np.linalg.eigh(plain)
    assert bool((np.diff(values) > 0).all())
    assert np.allclose(np.abs(vectors.T @ basis.numpy()), np.eye(4), atol=1e-6)  # each column up to its sign
    assert torch.allclose(basis.T @ basis, torch.eye(4, dtype=torch.float64), atol=1e-12)

    target = drawn_to_centroids(z, centroids, labels, basis.float())
    y, m = z.double() @ basis, centroids.double() @ basis
    assert torch.allclose(target[:, :-1].double(), y[:, :-1], atol=1e-4)
    assert torch.allclose(target[:, -1].double(), m[labels, -1], atol=1e-4)


def test_the_last_axis_is_the_one_along_which_clusters_are_widest() -> None:
    z, centroids, labels = clusters(0, n=2000)
    basis = scatter_basis(within_scatter(z, centroids, labels))
    assert basis[:, -1].abs().argmax() == 1  # of width 2
    assert basis[:, 0].abs().argmax() == 0  # of width 0.3


def test_the_loss_is_the_share_of_the_replaced_coordinate() -> None:
    """At the weights of the refresh y is its own target but for the last coordinate: the loss is what S_w's largest
    eigenvalue says, λ_d / (n d)."""
    method = built()
    *_, phase, _ = method.phases(IMAGES.images, launch(method.config.runtime))
    assert isinstance(phase, GradientPhase)
    assert phase.refresh is not None
    z = method.embed(IMAGES.images)
    method.partition.place(z[:4])
    labels = phase.refresh()
    index = torch.arange(400)
    losses = phase.module(Batch(IMAGES.images, index, BatchNoise(0, 400, slice(0, 400), torch.device("cpu"))))
    away = z.double() - method.centroid_positions().double()[labels]
    largest = float(np.linalg.eigvalsh((away.T @ away).numpy())[-1])
    assert losses["loss"].item() == pytest.approx(largest / (400 * 4), rel=1e-4)


def test_only_the_encoder_is_trained_towards_a_target_that_stays() -> None:
    method = built()
    *_, phase, _ = method.phases(IMAGES.images, launch(method.config.runtime))
    assert isinstance(phase, GradientPhase)
    assert phase.refresh is not None
    assert {id(p) for p in phase.module.parameters()} == {id(p) for p in method.backbone.encoder.parameters()}
    method.partition.place(method.embed(IMAGES.images[:4]))
    phase.refresh()
    assert method.partition.target is not None
    target, basis = method.partition.target.clone(), method.partition.basis.clone()
    with torch.no_grad():
        for parameter in method.backbone.encoder.parameters():
            parameter.mul_(1.1)
    index = torch.tensor([5, 300])
    losses = phase.module(Batch(IMAGES.images[index], index, BatchNoise(0, 2, slice(0, 2), torch.device("cpu"))))
    y = method.embed(IMAGES.images[index]) @ basis
    assert losses["loss"].item() == pytest.approx(float((y - target[index]).square().mean()), rel=1e-5)


def test_the_last_kmeans_fits_the_last_encoder() -> None:
    method = built()
    state = run(method, IMAGES.images)
    assert [row["phase"] for row in state.history if "seconds" in row] == ["initialise", "assign"]
    z = method.embed(IMAGES.images)
    labels = method.assign_embedded(z).labels
    means = torch.stack([z[labels == i].mean(dim=0) for i in range(4)])
    assert torch.allclose(method.centroid_positions(), means, atol=1e-4)
    assert method.partition.target is None


def test_clusters_keep_their_numbers() -> None:
    """A KMeans that begins at known centroids gives them back in their order."""
    z, _, _ = clusters(1, n=600)
    known = kmeans(z, 3, KMeansSettings(redos=5), seed=0)
    order = torch.tensor([2, 0, 1])
    again = kmeans(z, 3, KMeansSettings(redos=5), seed=1, start=known.centroids[order])
    assert torch.allclose(again.centroids, known.centroids[order], atol=1e-4)
    assert torch.equal(order[again.labels], known.labels)


def test_a_start_far_off_is_left_for_a_better_place() -> None:
    z, _, _ = clusters(1, n=600)
    best = kmeans(z, 3, KMeansSettings(redos=5), seed=0)
    lost = best.centroids.clone()
    lost[1] = 1e3  # without points: it is put beside another centroid
    assert kmeans(z, 3, KMeansSettings(), seed=0, start=lost).labels.bincount(minlength=3).min() > 0


def test_tol_ends_the_clustering() -> None:
    state = run(built(tol=1.0, max_epochs=50), IMAGES.images)
    assert state.global_step == 10 * 8 + 6
    assert "ended by tol" in str([row.get("notice") for row in state.history])


def test_resumed_it_ends_with_the_same_bits() -> None:
    whole_and_resumed(lambda: built(), IMAGES.images, (86, 113))


def test_constant_images_end_in_an_answer() -> None:
    method = built(max_epochs=1)
    images = torch.full((60, 1, 8, 8), 7, dtype=torch.uint8)
    run_phases(method, images, method.run)
    assert len(set(method.assign(images).labels.tolist())) == 1


@pytest.mark.parametrize("wrong", [{"weight": 1.0}, {"tol": -0.1}, {"update_interval": 0}])
def test_impossible_settings_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        DEKMSettings.model_validate(wrong)
