"""DKM: the softened KMeans loss by hand and by finite differences, the sequence of α, and its course over a run."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from configs.schema import OptimiserSettings
from engine.randomness import BatchNoise, seed_all
from evaluation.agreement import agreement
from evaluation.contingency import contingency
from losses.dkm import soft_kmeans, softmin
from losses.squared_distances import squared_distances
from methods.dkm import DKM, AlphaSettings, AnnealedCentroids, DKMConfig, DKMObjective, DKMSettings
from models.autoencoder import ImageShape
from parts.phases import Batch
from tests.joint_runs import run, whole_and_resumed
from tests.test_dec import bars, config

ADAM = OptimiserSettings(learning_rate=1e-3)
IMAGES = bars()


def small(**cluster: object) -> DKMConfig:
    base = config().model_dump(exclude={"method", "cluster"})
    values = {
        "weight": 0.05,
        "alpha": {"start": 0.1, "terms": 5},
        "max_epochs": 5,
        "min_steps": 0,
        "batch_size": 50,
        "update_interval": 8,
        "optimiser": ADAM,
    }
    return DKMConfig.model_validate({**base, "cluster": {**values, **cluster}})


def built(**cluster: object) -> DKM:
    seed_all(0)
    return DKM(small(**cluster), ImageShape(1, 8, 8))


@pytest.mark.parametrize("alpha", [{"start": 0.1, "terms": 5}, {"start": 1000, "terms": 1}])
def test_a_separable_set_is_found(alpha: dict[str, float]) -> None:
    method = built(alpha=alpha)
    run(method, IMAGES.images)
    assert IMAGES.labels is not None
    answer = method.assign(IMAGES.images)
    assert agreement(contingency(IMAGES.labels, answer.labels))["acc"] > 0.99
    assert answer.probabilities is not None
    assert bool(answer.probabilities.isfinite().all())
    distances = torch.cdist(method.embed(IMAGES.images).double(), method.centroid_positions().double())
    assert torch.equal(answer.labels, distances.argmin(dim=1))


def test_the_loss_by_hand_on_two_points_and_two_centroids() -> None:
    z = torch.tensor([[0.0, 0.0], [1.0, 1.0]])
    r = torch.tensor([[1.0, 0.0], [0.0, 2.0]])
    # Squared distances: 1 and 4; 1 and 2.
    first = 1 / (1 + math.exp(-0.5 * 3))
    second = 1 / (1 + math.exp(-0.5 * 1))
    g = softmin(squared_distances(z, r), 0.5)
    assert g[:, 0].tolist() == pytest.approx([first, second])
    assert g.sum(dim=1).tolist() == pytest.approx([1, 1])
    by_hand = ((1 * first + 4 * (1 - first)) + (1 * second + 2 * (1 - second))) / 2
    assert soft_kmeans(z, r, 0.5).item() == pytest.approx(by_hand)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**20), alpha=st.sampled_from([0.1, 1.0, 3.0]))
def test_gradients_by_finite_differences(seed: int, alpha: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    z = torch.randn(3, 2, generator=generator, dtype=torch.float64, requires_grad=True)
    r = torch.randn(4, 2, generator=generator, dtype=torch.float64, requires_grad=True)
    soft_kmeans(z, r, alpha).backward()
    step = 1e-6
    for tensor in (z, r):
        assert tensor.grad is not None
        flat = tensor.detach().view(-1)
        for i in range(flat.numel()):
            values = []
            for sign in (1, -1):
                flat[i] += sign * step
                values.append(soft_kmeans(z.detach(), r.detach(), alpha).item())
                flat[i] -= sign * step
            numeric = (values[0] - values[1]) / (2 * step)
            assert tensor.grad.view(-1)[i].item() == pytest.approx(numeric, rel=1e-4, abs=1e-7)


def test_the_gradient_flows_through_the_softened_minimum_too() -> None:
    """By hand in one dimension: z = 0, r = (1, 2), α = 1. With f_k = r_k² and g = softmin(f),
    dL/df_k = g_k (1 - f_k + L), and df_k/dr_k = 2 r_k."""
    r = torch.tensor([[1.0], [2.0]], dtype=torch.float64, requires_grad=True)
    soft_kmeans(torch.zeros(1, 1, dtype=torch.float64), r, 1.0).backward()
    g = 1 / (1 + math.exp(-3))
    loss = g * 1 + (1 - g) * 4
    assert r.grad is not None
    assert r.grad[:, 0].tolist() == pytest.approx([2 * g * (1 - 1 + loss), 4 * (1 - g) * (1 - 4 + loss)])


def test_a_large_alpha_is_kmeans_and_stays_finite() -> None:
    generator = torch.Generator().manual_seed(0)
    z = (1e3 * torch.randn(50, 3, generator=generator)).requires_grad_()
    r = (1e3 * torch.randn(4, 3, generator=generator)).requires_grad_()
    loss = soft_kmeans(z, r, 1000.0)
    nearest = torch.cdist(z.detach().double(), r.detach().double()).square().min(dim=1).values.mean()
    assert loss.item() == pytest.approx(nearest.item(), rel=1e-5)
    loss.backward()
    assert z.grad is not None
    assert bool(z.grad.isfinite().all())


def test_the_sequence_of_alpha_by_hand() -> None:
    values = AlphaSettings(start=0.1, terms=4).values()
    second = 0.1 * 2 ** (1 / 0.6931471805599453**2)
    third = second * 2 ** (1 / 1.0986122886681098**2)
    assert values == pytest.approx([0.1, second, third, third * 2 ** (1 / 1.3862943611198906**2)])
    assert second == pytest.approx(0.42320, rel=1e-4)
    assert AlphaSettings(start=1000, terms=1).values() == [1000]
    assert len(AlphaSettings(start=0.1, terms=40).values()) == 40


def test_every_term_has_its_share_of_the_steps() -> None:
    head = AnnealedCentroids(2, 1, [1.0, 2.0, 3.0])
    seen = []
    for _ in range(8):
        seen.append(head.alpha(7).item())
        head.steps += 1
    assert seen == [1, 1, 1, 2, 2, 3, 3, 3]  # the eighth is past the end


def test_the_loss_of_a_batch_is_the_reconstruction_and_lambda_times_the_clustering() -> None:
    method = built()
    method.head.place(torch.randn(4, 4, generator=torch.Generator().manual_seed(0)))
    backbone = method.backbone
    objective = DKMObjective(backbone.normalise, backbone.branch(True), method.head, 0.3, 40)
    method.head.steps.fill_(16)  # of 40 steps and 5 terms: the third
    alpha = small().cluster.alpha.values()[2]
    index = torch.arange(3, 9)
    losses = objective(Batch(IMAGES.images[index], index, BatchNoise(0, 6, slice(0, 6), torch.device("cpu"))))
    z, r = method.embed(IMAGES.images[index]).double(), method.centroid_positions().double()
    squared = torch.cdist(z, r).square()
    weights = (-alpha * squared).exp()
    by_hand = float((squared * weights / weights.sum(dim=1, keepdim=True)).sum(dim=1).mean())
    x = backbone.normalise(IMAGES.images[index])
    mse = float((backbone.networks()["decoder"](backbone.encoder(x)) - x).detach().double().square().mean())
    assert losses["alpha"].item() == pytest.approx(alpha)
    assert losses["clustering"].item() == pytest.approx(by_hand, rel=1e-4)
    assert losses["loss"].item() == pytest.approx(mse + 0.3 * by_hand, rel=1e-4)
    losses["loss"].backward()
    assert all(p.grad is not None and bool(p.grad.any()) for p in objective.parameters())


def test_alpha_ends_at_its_last_term() -> None:
    method = built()
    state = run(method, IMAGES.images)
    assert method.head.steps.item() == 5 * 8
    rows = [row["alpha"] for row in state.history if "alpha" in row]
    assert rows == pytest.approx(small().cluster.alpha.values())


def test_resumed_it_ends_with_the_same_bits() -> None:
    _, resumed = whole_and_resumed(lambda: built(), IMAGES.images, (85, 104))
    for method in resumed.values():
        assert isinstance(method, DKM)
        assert method.head.steps.item() == 5 * 8


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"weight": 0.0}, "weight"),
        ({"alpha": {"start": 0.0}}, "start"),
        ({"alpha": {"terms": 0}}, "terms"),
        ({"alpha": {"start": 1e10, "terms": 1}}, "alpha ends at 1e\\+10, above 1e\\+09.*lower alpha.start"),
        ({"alpha": {"terms": 100_000}}, "lower alpha.start or alpha.terms"),
        ({"tol": 0.001}, "tol"),
    ],
)
def test_impossible_settings_are_refused(wrong: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        DKMSettings.model_validate(wrong)
