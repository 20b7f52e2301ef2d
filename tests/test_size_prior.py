"""The prior of cluster sizes: its values by hand, that it gives way, and that no cluster vanishes."""

from __future__ import annotations

import math

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from configs.schema import RuntimeSettings
from engine.processes import launch
from engine.randomness import BatchNoise, seed_all
from losses.scan import marginal_divergence
from methods.registry import METHODS
from methods.resolve import resolve_config
from models.autoencoder import ImageShape
from models.cluster_heads import ClusterHeads
from parts.neighbourhood import Neighbourhood
from parts.phases import Batch
from parts.size_prior import SizePrior, SizePriorSettings
from parts.training_features import TrainingFeatures
from parts.walked_agreement import HeadsObjective
from tests.test_free_sizes import blobs

LEARNED = SizePriorSettings(prior="learned", prior_freedom=0.75)


def test_uniform_and_given_priors_stay_as_they_are() -> None:
    sizes = torch.tensor([[0.9, 0.1], [0.2, 0.8]])
    uniform, given = SizePrior(SizePriorSettings(), 2, 2), SizePrior(SizePriorSettings(prior=(0.3, 0.7)), 2, 2)
    for shares in (uniform(sizes), uniform.given(sizes[0])):
        assert shares.tolist() == [0.5, 0.5]
    for shares in (given(sizes), given.given(sizes[0])):
        assert shares.tolist() == pytest.approx([0.3, 0.7])
    assert uniform.is_uniform
    assert not given.is_uniform
    assert not uniform.state_dict()


def test_a_learned_prior_by_hand() -> None:
    sizes = torch.tensor([[0.9, 0.1], [0.2, 0.8]], requires_grad=True)
    found = SizePrior(LEARNED, 2, 2)(sizes)
    # A quarter of 0.5 and three quarters of the size.
    assert torch.allclose(found, torch.tensor([[0.8, 0.2], [0.275, 0.725]]))
    assert not found.requires_grad


def test_the_estimate_is_a_moving_average_from_the_uniform_one() -> None:
    prior = SizePrior(LEARNED, 1, 2, momentum=0.5)
    estimate = 0.5
    for size in (0.9, 0.7, 0.7):
        estimate = 0.5 * estimate + 0.5 * size
        assert prior(torch.tensor([[size, 1 - size]]))[0, 0].item() == pytest.approx(0.125 + 0.75 * estimate)
    # At the end sizes over all images are known, and heads are compared under the prior of these.
    assert prior.given(torch.tensor([0.6, 0.4])).tolist() == pytest.approx([0.575, 0.425])
    # It is part of what a stopped run goes on from.
    assert prior.state_dict()["estimate.shares"][0, 0].item() == pytest.approx(estimate)


def pull(size: float, settings: SizePriorSettings) -> float:
    """How hard the divergence pulls the first of two clusters back to half of the images, by its size."""
    sizes = torch.tensor([[size, 1 - size]], dtype=torch.float64, requires_grad=True)
    marginal_divergence(sizes, SizePrior(settings, 1, 2)(sizes)).sum().backward()
    assert isinstance(sizes.grad, Tensor)
    return float(sizes.grad[0, 0] - sizes.grad[0, 1])


def test_a_learned_prior_pulls_less_than_a_uniform_one_and_never_lets_a_cluster_vanish() -> None:
    for size in (0.6, 0.8, 0.95):
        learned = pull(size, LEARNED)
        # d/dm of m log(m / p) with p held is log(m / p) + 1.
        expected = math.log(size / (0.125 + 0.75 * size)) - math.log((1 - size) / (0.125 + 0.75 * (1 - size)))
        assert learned == pytest.approx(expected)
        assert 0 < learned < pull(size, SizePriorSettings())
    assert pull(0.5, LEARNED) == pytest.approx(0)
    assert pull(1 - 1e-6, LEARNED) > 10  # a cluster that is nearly empty is pulled back without bound


def found_sizes(prior: str | None, freedom: float = 0.8) -> list[int]:
    """Of three heads' best on 180, 10 and 10 points in three places that lie far apart, descending."""
    seed_all(0)
    z = blobs(180, 10, 10)
    settings = SizePriorSettings.model_validate({"prior": prior, "prior_freedom": freedom})
    heads, neighbourhood = ClusterHeads(3, 8, 3, 4.0), Neighbourhood(0.0)
    neighbourhood.place((z @ z.T - 2 * torch.eye(200)).topk(8, dim=1).indices)
    compute = launch(RuntimeSettings(device="cpu"))
    features = TrainingFeatures(lambda *_: z, torch.zeros(200, 1, 1, 1, dtype=torch.uint8), compute)
    objective = HeadsObjective(heads, neighbourhood, features, SizePrior(settings, 3, 3), 3.0, 2, compute)
    adam = torch.optim.Adam(heads.parameters(), lr=0.1)
    for step in range(200):
        noise = BatchNoise(step, 200, slice(0, 200), torch.device("cpu"))
        adam.zero_grad()
        objective(Batch(torch.zeros(200, 1, 1, 1, dtype=torch.uint8), torch.arange(200), noise))["loss"].backward()
        adam.step()
    best = int(objective.own_losses(3, seed=0).argmin())
    return sorted(heads(z)[best].argmax(dim=1).bincount(minlength=3).tolist(), reverse=True)


def test_a_uniform_prior_cuts_the_large_class_and_a_learned_one_does_not() -> None:
    assert max(found_sizes(None)) < 120
    assert found_sizes("learned", freedom=0.95) == [180, 10, 10]


def test_freedom_0_is_uniform() -> None:
    sizes = torch.tensor([[0.9, 0.1]])
    assert SizePrior(SizePriorSettings(prior="learned", prior_freedom=0), 1, 2)(sizes).tolist() == [[0.5, 0.5]]


def test_freedom_1_asks_nothing_of_any_sizes() -> None:
    """Where a cluster is empty too, of which the prior is 0."""
    settings = SizePriorSettings(prior="learned", prior_freedom=1)
    sizes = torch.tensor([[0.9, 0.1, 0.0]], requires_grad=True)
    divergence = marginal_divergence(sizes, SizePrior(settings, 1, 3)(sizes))
    assert divergence.tolist() == [0.0]
    divergence.sum().backward()
    assert isinstance(sizes.grad, Tensor)
    assert bool(sizes.grad.isfinite().all())


@pytest.mark.parametrize("name", ["pace", "scan", "temi"])
def test_methods_take_a_prior_by_name_or_as_shares(name: str) -> None:
    def prior(*settings: str) -> object:
        return resolve_config(name, None, ["clusters=2", *settings], {}).cluster.prior  # type: ignore[attr-defined]

    assert prior() is None
    assert prior("cluster.prior=null") is None
    assert prior("cluster.prior=learned") == "learned"
    assert prior("cluster.prior=[0.25, 0.75]") == (0.25, 0.75)
    for wrong in ("[0.2, 0.3, 0.5]", "[0.5, 0.6]"):
        with pytest.raises(Exception, match=r"not valid:\n  cluster.prior must hold 2 shares that sum to 1"):
            prior(f"cluster.prior={wrong}")
    with pytest.raises(Exception, match="prior_freedom"):
        prior("cluster.prior_freedom=1.5")


@pytest.mark.parametrize("name", ["pace", "scan"])
def test_a_checkpoint_holds_the_estimate_of_the_sizes(name: str) -> None:
    config = resolve_config(name, None, ["cluster.prior=learned", "cluster.prior_momentum=0.5"], {})
    method = METHODS[name].build(config, ImageShape(1, 8, 8))
    phases = method.phases(torch.zeros(50, 1, 8, 8, dtype=torch.uint8), launch(config.runtime))
    (kept,) = (phase.module.state_dict()["prior.estimate.shares"] for phase in phases if phase.name == "cluster")
    assert kept.data_ptr() == method.state_dict()["prior.estimate.shares"].data_ptr()


def test_a_freedom_beyond_1_is_refused() -> None:
    with pytest.raises(ValidationError, match="prior_freedom"):
        SizePriorSettings(prior_freedom=-0.1)
