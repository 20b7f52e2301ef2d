"""VaDE: the bound on a batch against torch.distributions, where it begins, what it must find, and how it fails."""

from __future__ import annotations

import re
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor
from torch.distributions import Bernoulli, Categorical, Independent, Normal

from configs.load import FOLDER, read_yaml, validate
from configs.schema import OptimiserSettings
from data.image_set import ImageSet
from engine.optimisers import build_optimiser
from engine.phase_keys import phase_keys
from engine.processes import launch
from engine.randomness import BatchNoise, seed_all
from estimators.base import ClusteringError
from evaluation.agreement import agreement
from evaluation.contingency import contingency
from methods.registry import METHODS
from methods.resolve import resolve_config
from methods.vade import VaDE, VaDEConfig, VaDEObjective
from models.autoencoder import ImageShape
from parts.phases import Batch, GradientPhase
from tests.joint_runs import run, whole_and_resumed
from tests.small import run_phases
from tests.test_dec import bars

SHAPE = ImageShape(1, 8, 8)
IMAGES = bars()


def config(pretrain: dict[str, Any] | None = None, **cluster: Any) -> VaDEConfig:
    adam = OptimiserSettings(learning_rate=2e-3)
    few = {"min_steps": 0, "batch_size": 50, "optimiser": adam}
    return VaDEConfig.model_validate(
        {
            "clusters": 4,
            "model": {"name": "dense", "hidden": [32], "latent": 3},
            "pretrain": {"objective": "elbo", "epochs": 20, **few, **(pretrain or {})},
            "initialise": {"covariance": "diagonal", "redos": 5},
            "cluster": {"max_epochs": 5, "update_interval": 8, **few, **cluster},
            "runtime": {"device": "cpu"},
        }
    )


def built(**settings: Any) -> VaDE:
    seed_all(0)
    return VaDE(config(**settings), SHAPE)


def placed(**settings: Any) -> VaDE:
    """With a mixture that no fit found."""
    method = built(**settings)
    generator = torch.Generator().manual_seed(1)
    method.prior.place(
        torch.tensor([0.1, 0.2, 0.3, 0.4]),
        torch.randn(4, 3, generator=generator),
        torch.rand(4, 3, generator=generator),
    )
    return method


def objective(method: VaDE) -> VaDEObjective:
    made = cluster_phase(method).module
    assert isinstance(made, VaDEObjective)
    return made


def cluster_phase(method: VaDE) -> GradientPhase:
    phase = method.phases(IMAGES.images, launch(method.config.runtime))[-1]
    assert isinstance(phase, GradientPhase)
    return phase


def batch(images: Tensor, seed: int = 0) -> Batch:
    noise = BatchNoise(seed, len(images), slice(None), torch.device("cpu"))
    return Batch(images, torch.arange(len(images)), noise)


def quality(method: VaDE, images: ImageSet) -> float:
    assert images.labels is not None
    return float(agreement(contingency(images.labels, method.assign(images.images).labels))["acc"])


@pytest.mark.parametrize("pretrain", [{}, {"beta": 0.0, "sample": False}])
def test_a_separable_set_is_found(pretrain: dict[str, Any]) -> None:
    """From a variational pretraining, and from the paper's deterministic one."""
    method = built(pretrain=pretrain)
    state = run(method, IMAGES.images)
    assert quality(method, IMAGES) > 0.99
    losses = [row["loss"] for row in state.history if row["phase"] == "cluster" and "loss" in row]
    assert losses[-1] < losses[0]
    pi = method.prior.mixture.log_weights.detach().exp()
    assert pi.sum().item() == pytest.approx(1.0, abs=1e-6)
    assert float(pi.min()) > 0.1  # four classes of one size
    assert any("changed" in row for row in state.history)


def test_the_loss_is_the_negative_bound_of_torchs_distributions() -> None:
    method = placed()
    losses = objective(method)(batch(IMAGES.images[:6], seed=3))

    x = IMAGES.images[:6].double() / 255
    network = method.backbone.vae.double()
    mu, log_variance = network.encode(x)
    epsilon = torch.randn(6, 3, generator=torch.Generator().manual_seed(3)).double()
    z = mu + (log_variance / 2).exp() * epsilon
    pi = Categorical(method.prior.logits.double().softmax(dim=0))
    component = Independent(Normal(method.prior.means.double(), (method.prior.log_variances.double() / 2).exp()), 1)
    joint = pi.logits + component.log_prob(z.unsqueeze(1))
    gamma = joint.exp() / joint.exp().sum(dim=1, keepdim=True)
    # E log p(z|c) under N(μ̃, σ̃²) is log p(μ̃|c) - 1/2 Σ σ̃²/σ_c²; that of log q(z|x) is minus the entropy.
    shrunk = 0.5 * (log_variance.exp().unsqueeze(1) / method.prior.log_variances.double().exp()).sum(dim=2)
    prior = (gamma * (pi.logits + component.log_prob(mu.unsqueeze(1)) - shrunk)).sum(dim=1)
    entropy = Independent(Normal(mu, (log_variance / 2).exp()), 1).entropy() - (gamma * gamma.log()).sum(dim=1)
    likelihood = Bernoulli(logits=network.decode(z), validate_args=False).log_prob(x).flatten(1).sum(dim=1)

    assert losses["loss"].item() == pytest.approx(-(likelihood + prior + entropy).mean().item(), rel=1e-5)
    assert losses["reconstruction"].item() == pytest.approx(-likelihood.mean().item(), rel=1e-5)
    parts = losses["reconstruction"] + losses["latent_kl"] + losses["cluster_kl"]
    assert losses["loss"].item() == pytest.approx(parts.item(), rel=1e-6)


def test_all_parts_are_trained_and_the_mixture_at_its_own_rate() -> None:
    method = placed(mixture_factor=0.25)
    made = objective(method)
    made(batch(IMAGES.images[:20]))["loss"].backward()
    assert all(p.grad is not None and bool(p.grad.any()) for p in made.parameters())
    optimiser = build_optimiser(made, method.config.cluster.optimiser)
    factors = {id(p): group["factor"] for group in optimiser.param_groups for p in group["params"]}
    assert {factors[id(p)] for p in method.prior.parameters()} == {0.25}
    assert {factors[id(p)] for p in method.backbone.vae.parameters()} == {1.0}


def test_noise_comes_from_the_batch_and_never_to_an_assignment() -> None:
    method = placed()
    made = objective(method)
    assert torch.equal(made(batch(IMAGES.images, 1))["loss"], made(batch(IMAGES.images, 1))["loss"])
    assert not torch.equal(made(batch(IMAGES.images, 1))["loss"], made(batch(IMAGES.images, 2))["loss"])
    seed_all(1)
    first = method.assign(IMAGES.images)
    seed_all(2)
    again = method.assign(IMAGES.images)
    assert first.probabilities is not None
    assert again.probabilities is not None
    assert torch.equal(first.probabilities, again.probabilities)
    mu, _ = method.backbone.vae.encode(IMAGES.images / 255)
    expected = method.prior(mu)
    assert torch.allclose(first.probabilities, expected, atol=1e-6)
    assert torch.equal(first.labels, expected.argmax(dim=1))


def test_the_refresh_gives_what_assign_does() -> None:
    method = placed()
    refresh = cluster_phase(method).refresh
    assert refresh is not None
    assert torch.equal(refresh(), method.assign(IMAGES.images).labels)


def test_criteria_are_the_mean_log_likelihood() -> None:
    method = placed()
    z = method.embed(IMAGES.images)
    component = Independent(Normal(method.prior.means, (method.prior.log_variances / 2).exp()), 1)
    joint = method.prior.logits.log_softmax(dim=0) + component.log_prob(z.unsqueeze(1))
    expected = joint.logsumexp(dim=1).mean().item()
    assert method.criteria(z) == {"log_likelihood": pytest.approx(expected, rel=1e-5)}


def test_resumed_it_ends_with_the_same_bits() -> None:
    """Within the pretraining, 20 epochs of 8 steps, and within the clustering, before and after a refresh."""
    whole_and_resumed(lambda: built(max_epochs=2, tol=0.0), IMAGES.images, (2, 163, 169))


def test_constant_images_stay_finite_above_the_floor_and_are_reported() -> None:
    """Every component closes in on the one point that there is."""
    method = built(floor=0.01)
    images = torch.full((100, *SHAPE), 128, dtype=torch.uint8)
    state = run_phases(method, images, method.run)
    assert method.prior.log_variances.exp().min().item() >= 0.01 * (1 - 1e-5)
    assert all(bool(parameter.isfinite().all()) for parameter in method.parameters())
    notices = [row["notice"] for row in state.history if "notice" in row]
    assert any("collapsing" in notice for notice in notices)
    assert method.assign(images).labels.unique().numel() == 1


def test_a_step_below_the_floor_is_taken_back() -> None:
    method = placed(floor=0.05)
    with torch.no_grad():
        method.prior.log_variances.fill_(-20.0)
    objective(method).after_step(batch(IMAGES.images[:2]))
    assert method.prior.log_variances.exp().flatten().tolist() == pytest.approx([0.05] * 12, rel=1e-5)


def test_a_component_without_images_is_reported_and_stays_finite() -> None:
    method = placed(max_epochs=1)
    with torch.no_grad():
        method.prior.means[3] = 1e3
    state = run_phases(method, IMAGES.images, method.run, first=2)
    notices = [row["notice"] for row in state.history if "notice" in row]
    assert re.search(r"clusters? (\d, )*3(, \d)* of 4 without images", notices[0])
    assert all(bool(parameter.isfinite().all()) for parameter in method.parameters())
    assert method.prior.mixture.log_weights.exp().sum().item() == pytest.approx(1.0, abs=1e-6)


def test_more_clusters_than_images_are_refused() -> None:
    method = VaDE(config().model_copy(update={"clusters": 30}), SHAPE)
    with pytest.raises(ClusteringError, match="30"):
        run_phases(method, IMAGES.images[:20], method.run)


def test_what_is_no_vae_is_refused() -> None:
    with pytest.raises(ValidationError, match=r"pretrain.objective reconstruction makes a plain one: set pretrain.obj"):
        VaDEConfig.model_validate({"pretrain": {"objective": "reconstruction"}})
    with pytest.raises(ValidationError, match=r"pixels run from 0 to 1: set pixels: unit"):
        VaDEConfig.model_validate({"pixels": "standardised"})


def test_the_default_config_is_the_schemas_own() -> None:
    assert validate(VaDEConfig, read_yaml(FOLDER / "vade.yaml"), "vade.yaml") == VaDEConfig()


def test_pretraining_is_that_of_vae_gmm_and_vae_dec() -> None:
    """Same network, settings and first weights, so that one of them computes it for all."""
    images = torch.zeros(300, 1, 28, 28, dtype=torch.uint8)
    found = []
    for name in ("vade", "vae-dec", "vae-gmm"):
        made = resolve_config(name, None, [], {})
        compute = launch(made.runtime)
        seed_all(0)
        phase = METHODS[name].build(made, ImageShape(1, 28, 28)).phases(images, compute)[0]
        found.append((phase_keys([phase], images, compute, {}), phase.module.state_dict()))
    for key, state in found[1:]:
        assert key == found[0][0]
        assert state.keys() == found[0][1].keys()
        assert all(torch.equal(state[name], found[0][1][name]) for name in state)


def test_vae_dec_assigns_from_the_mean() -> None:
    made = resolve_config(
        "vae-dec", None, ["model={name: dense, hidden: [16], latent: 3}", "clusters=4", "runtime.device=cpu"], {}
    )
    seed_all(0)
    method = METHODS["vae-dec"].build(made, SHAPE)
    seed_all(1)
    first = method.assign(IMAGES.images)
    seed_all(2)
    again = method.assign(IMAGES.images)
    assert first.probabilities is not None
    assert again.probabilities is not None
    assert torch.equal(first.probabilities, again.probabilities)
    cluster = method.phases(IMAGES.images, launch(made.runtime))[-1]
    assert isinstance(cluster, GradientPhase)
    assert cluster.refresh is not None
    assert torch.equal(cluster.refresh(), first.labels)
    # The noise reaches the kept bound, and neither q nor the clustering loss.
    one, other = (cluster.module(batch(IMAGES.images[:50], seed)) for seed in (1, 2))
    assert torch.equal(one["clustering"], other["clustering"])
    assert torch.equal(one["kl"], other["kl"])
    assert not torch.equal(one["reconstruction"], other["reconstruction"])
    weights = made.model_dump()["cluster"]
    expected = one["reconstruction"] + weights["kl"] * one["kl"] + weights["gamma"] * one["clustering"]
    assert one["loss"].item() == pytest.approx(expected.item(), rel=1e-6)


def test_vae_dec_finds_a_separable_set_and_keeps_the_bound() -> None:
    small = [
        "model={name: dense, hidden: [32], latent: 3}",
        "clusters=4",
        "runtime.device=cpu",
        "pretrain.epochs=20",
        "pretrain.min_steps=0",
        "pretrain.batch_size=50",
        "cluster.min_steps=0",
        "cluster.batch_size=50",
        "cluster.update_interval=8",
        "cluster.tol=0",
        "cluster.max_epochs=8",
    ]
    seed_all(0)
    method = METHODS["vae-dec"].build(resolve_config("vae-dec", None, small, {}), SHAPE)
    state = run(method, IMAGES.images)  # type: ignore[arg-type]
    assert IMAGES.labels is not None
    assert agreement(contingency(IMAGES.labels, method.assign(IMAGES.images).labels))["acc"] > 0.99
    rows = [row for row in state.history if row["phase"] == "cluster" and "loss" in row]
    assert rows[-1]["reconstruction"] < 1.05 * rows[0]["reconstruction"]
