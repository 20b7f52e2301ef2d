"""Resets within the clustering phase: weights shrunk and perturbed by hand, centroids found anew, moments dropped."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from configs.schema import PretrainSettings
from engine.checkpoint import LoopState
from engine.errors import Interrupted
from engine.loop import Loop
from engine.optimisers import build_optimiser, forget
from engine.processes import launch
from engine.progress import Display
from engine.randomness import generator_states, restore_generators, seed_all
from evaluation.agreement import agreement
from evaluation.contingency import contingency
from losses.dec import target_distribution
from methods.dec import DEC
from models.autoencoder import ImageShape, ModelError
from models.batch_statistics import estimate_statistics
from models.settings import DenseSettings, Init
from parts.backbones import AutoencoderBackbone, AutoencoderStageSettings
from parts.initialisation import Centroids
from parts.joint_training import JointTraining
from parts.phases import GradientPhase
from parts.reset import CentroidPhaseSettings, ResetSettings, resets, shrink_and_perturb
from tests.test_dec import ADAM, bars, config
from tests.toy import ToyObjective

SHAPE = ImageShape(1, 8, 8)


def backbone(init: Init = "he") -> AutoencoderBackbone:
    network = DenseSettings(hidden=(16, 8), latent=3, init=init)
    settings = AutoencoderStageSettings(model=network, pretrain=PretrainSettings())
    return AutoencoderBackbone(settings, SHAPE)


def resetting(
    settings: ResetSettings | None, network: AutoencoderBackbone, refreshed: Callable[[], object] = lambda: None
) -> tuple[Callable[[int], Sequence[nn.Parameter]], Centroids]:
    """What is called before every epoch, on 400 images in batches of 50, and the four centroids that it places."""
    training = JointTraining(network, bars().images, launch(config().runtime), 4, 0)
    centroids = Centroids(4, 3, trained=True)
    return resets(training, CentroidPhaseSettings(batch_size=50, reset=settings), centroids, refreshed), centroids


@pytest.mark.parametrize("init", ["he", "uniform"])
def test_weights_become_eight_tenths_old_and_two_tenths_fresh_but_for_the_embedding(init: Init) -> None:
    """The fresh ones are He's, whatever the network began with."""
    seed_all(0)
    network = backbone(init)
    with torch.no_grad():
        for parameter in network.encoder.parameters():
            parameter.fill_(1.0)
    decoder = [p.detach().clone() for p in network.autoencoder.decoder.parameters()]
    seed_all(1)
    fresh = list(backbone("he").encoder.parameters())  # the very weights that the reset draws
    seed_all(1)
    shrink_and_perturb(network, 0.8)
    *layers, weight, bias = network.encoder.parameters()
    for now, new in zip(layers, fresh, strict=False):
        assert torch.allclose(now, 0.8 + 0.2 * new, atol=1e-6)
    assert bool((weight == 1).all())
    assert bool((bias == 1).all())
    assert all(
        torch.equal(old, new) for old, new in zip(decoder, network.autoencoder.decoder.parameters(), strict=True)
    )


def test_it_comes_every_few_epochs_and_finds_centroids_on_a_subsample() -> None:
    images = bars().images
    refreshes: list[Tensor] = []
    network = backbone()
    reset, found = resetting(
        ResetSettings(interval=3, subsample=40), network, lambda: refreshes.append(found.centroids.detach().clone())
    )
    before = [p.detach().clone() for p in network.encoder.parameters()]
    for epoch in (1, 2):
        assert reset(epoch) == ()
    assert not refreshes
    assert all(torch.equal(a, b) for a, b in zip(before, network.encoder.parameters(), strict=True))
    seed_all(0)
    assert reset(3) == (found.centroids,)  # whose moments are of the old place
    (centroids,) = refreshes  # once they are placed
    assert centroids.shape == (4, 3)
    # The centroids are those of 40 images and not of all: the same draw gives the same points.
    seed_all(0)
    again = backbone()  # draws what the reset's fresh weights drew
    again.load_state_dict(network.state_dict())
    chosen = torch.randperm(400)[:40].sort().values
    z = again.encode(images[chosen]).detach()
    nearest = torch.cdist(z, centroids).argmin(dim=1)
    means = torch.stack([z[nearest == j].mean(dim=0) for j in range(4)])
    assert torch.allclose(means, centroids, atol=1e-4)


def normalising(dropout: float = 0.5) -> AutoencoderBackbone:
    """Batch-norms whose own parameters and statistics are those of no first step."""
    network = DenseSettings(hidden=(16, 8), latent=3, batch_norm=True, dropout=dropout)
    made = AutoencoderBackbone(AutoencoderStageSettings(model=network, pretrain=PretrainSettings()), SHAPE)
    for module in made.modules():
        if isinstance(module, nn.BatchNorm1d):
            nn.init.uniform_(module.weight, 0.5, 2.0)
            nn.init.normal_(module.bias)
            module.get_buffer("running_mean").normal_()
            module.get_buffer("running_var").uniform_(0.5, 2.0)
    return made


def test_after_a_reset_batch_norm_has_the_statistics_of_the_new_weights() -> None:
    """By hand, layer by layer, over the images that the centroids are found on; what is read of them is z."""
    images = bars().images
    seed_all(0)
    network = normalising().eval()  # as the loop has it then
    decoder = [buffer.clone() for buffer in network.autoencoder.decoder.buffers()]
    reset, found = resetting(ResetSettings(interval=1, subsample=60), network)
    seed_all(1)
    reset(1)
    drawn = torch.get_rng_state()

    seed_all(1)
    network.fresh("he")
    chosen = torch.randperm(400)[:60].sort().values
    assert torch.equal(drawn, torch.get_rng_state())
    h = network.normalise(images[chosen]).flatten(1).double()
    linear, norm, _, _ = (list(network.encoder.children())[1:][at::4] for at in range(4))
    for layer, batch_norm in zip(linear, norm, strict=False):
        assert isinstance(batch_norm, nn.BatchNorm1d)
        weight, bias = (p.detach().double() for p in layer.parameters())
        h = h @ weight.T + bias
        assert torch.allclose(batch_norm.get_buffer("running_mean").double(), h.mean(dim=0), atol=1e-4)
        assert torch.allclose(batch_norm.get_buffer("running_var").double(), h.var(dim=0), rtol=1e-4)
        scale, shift = (p.detach().double() for p in batch_norm.parameters())
        h = ((h - h.mean(dim=0)) / (h.var(dim=0, correction=0) + batch_norm.eps).sqrt() * scale + shift).relu()
    assert [(n.momentum, n.training) for n in network.modules() if isinstance(n, nn.BatchNorm1d)] == [(0.1, False)] * 4
    assert not any(module.training for module in network.modules())
    assert all(torch.equal(a, b) for a, b in zip(decoder, network.autoencoder.decoder.buffers(), strict=True))

    z = network.encode(images[chosen]).detach()
    nearest = torch.cdist(z, found.centroids).argmin(dim=1)
    assert torch.allclose(torch.stack([z[nearest == j].mean(dim=0) for j in range(4)]), found.centroids, atol=1e-4)


def test_batch_norms_own_parameters_are_shrunk_and_perturbed_and_its_statistics_are_not() -> None:
    seed_all(0)
    network = normalising()
    norms = [module for module in network.encoder.modules() if isinstance(module, nn.BatchNorm1d)]
    before = copy.deepcopy(norms)
    shrink_and_perturb(network, 0.8)
    for old, new in zip(before, norms, strict=True):
        assert torch.allclose(new.weight, 0.8 * old.weight + 0.2, atol=1e-6)
        assert torch.allclose(new.bias, 0.8 * old.bias, atol=1e-6)
        assert all(torch.equal(a, b) for a, b in zip(old.buffers(), new.buffers(), strict=True))


def test_statistics_of_many_rows_are_means_over_batches_of_one_size() -> None:
    rows = torch.randn(2500, 3, generator=torch.Generator().manual_seed(0)) * torch.tensor([1.0, 5.0, 0.1])
    norm = nn.BatchNorm1d(3)
    network = nn.Sequential(nn.Dropout(0.5), norm)
    drawn = torch.get_rng_state()
    estimate_statistics(network, network, rows, torch.device("cpu"))
    assert torch.equal(drawn, torch.get_rng_state())
    assert [module.training for module in network.modules()] == [True] * 3
    batches = [rows[:834], rows[834:1667], rows[1667:]]
    assert torch.allclose(norm.get_buffer("running_mean"), torch.stack([b.mean(0) for b in batches]).mean(0), atol=1e-6)
    assert torch.allclose(norm.get_buffer("running_var"), torch.stack([b.var(0) for b in batches]).mean(0), rtol=1e-5)


def test_on_a_small_data_set_it_waits_for_the_steps_that_bring_back_what_it_took() -> None:
    """400 images in batches of 50: 8 steps an epoch, so that 20 steps take three epochs."""

    def epochs_of(settings: ResetSettings) -> list[int]:
        seen: list[int] = []
        reset, _ = resetting(settings, backbone())
        for epoch in range(1, 10):
            before = torch.random.get_rng_state()
            reset(epoch)
            if not torch.equal(before, torch.random.get_rng_state()):
                seen.append(epoch)
        return seen

    few = {"subsample": 40, "initialise": {"redos": 1}}
    assert epochs_of(ResetSettings(interval=2, min_steps=20, **few)) == [3, 6, 9]
    assert epochs_of(ResetSettings(interval=4, min_steps=20, **few)) == [4, 8]
    assert epochs_of(ResetSettings(interval=2, **few)) == [2, 4, 6, 8]


def test_a_subsample_smaller_than_k_is_refused_before_anything_is_trained() -> None:
    method = DEC(config(reset={"subsample": 3}), SHAPE)
    with pytest.raises(ModelError, match="cluster.reset.subsample is 3, and 4 centroids"):
        method.phases(bars().images, launch(method.config.runtime))


def test_without_settings_nothing_happens() -> None:
    network = backbone()
    before = [p.detach().clone() for p in network.encoder.parameters()]
    reset, _ = resetting(None, network)
    assert reset(20) == ()
    assert all(torch.equal(a, b) for a, b in zip(before, network.encoder.parameters(), strict=True))


def test_forgotten_parameters_begin_with_new_moments() -> None:
    objective = ToyObjective(None)
    optimiser = build_optimiser(objective, ADAM)
    objective.weight.grad = torch.ones(4)
    optimiser.step()
    assert optimiser.state[objective.weight]["step"] == 1
    forget(optimiser, [objective.weight])
    assert not optimiser.state[objective.weight]
    optimiser.step()
    assert optimiser.state[objective.weight]["step"] == 1


def reset_loop(method: DEC, images: Tensor, **changes: Any) -> Loop:
    values: dict[str, Any] = {
        "keys": ["pretrain", "initialise", "cluster"],
        "config": method.config,
        "processes": launch(method.config.runtime),
        "save": lambda *_: None,
        "display": Display(quiet=True),
        **changes,
    }
    return Loop(method, images, **values)


def settings_with_resets() -> Any:
    made = config(reset={"interval": 1, "subsample": 60}, max_epochs=4, tol=0.0)
    runtime = made.runtime.model_copy(update={"checkpoint_seconds": 0.0})
    return made.model_copy(update={"runtime": runtime})


def fresh() -> DEC:
    seed_all(0)
    return DEC(settings_with_resets(), SHAPE)


@pytest.fixture(scope="module")
def whole() -> DEC:
    """Trained without a stop: epochs of 8 steps after 80 of pretraining, and a reset before each but the first."""
    images, method = bars().images, fresh()
    reset_loop(method, images).run(method.phases(images, launch(method.config.runtime)))
    return method


@pytest.mark.parametrize("stop_at", [80 + 8, 80 + 9, 80 + 16, 80 + 23])
def test_stopped_around_a_reset_and_resumed_it_ends_with_the_same_bits(whole: DEC, stop_at: int) -> None:
    images = bars().images
    saved: list[Any] = []
    first = fresh()

    def save(state: LoopState, optimiser: Any) -> None:
        if state.global_step == stop_at and state.batch:
            saved.append(
                copy.deepcopy(
                    (state, first.state_dict(), optimiser.state_dict() if optimiser else None, generator_states())
                )
            )
            raise Interrupted

    with pytest.raises(Interrupted):
        reset_loop(first, images, save=save).run(first.phases(images, launch(first.config.runtime)))
    state, weights, optimiser, generators = saved[0]
    second = fresh()
    phases = second.phases(images, launch(second.config.runtime))
    second.load_state_dict(weights)
    restore_generators(generators)
    reset_loop(second, images, state=dataclasses.replace(state)).run(phases, optimiser)
    for name, value in whole.state_dict().items():
        if isinstance(value, Tensor):
            assert torch.equal(value, second.state_dict()[name]), name


def test_with_resets_the_separable_set_is_still_found() -> None:
    images = bars()
    seed_all(0)
    method = DEC(config(reset={"interval": 2, "subsample": 100}), SHAPE)
    reset_loop(method, images.images).run(method.phases(images.images, launch(method.config.runtime)))
    assert images.labels is not None
    assert agreement(contingency(images.labels, method.assign(images.images).labels))["acc"] > 0.99


def test_a_reset_reads_latents_without_dropout_and_with_the_statistics_that_it_leaves() -> None:
    """The target that it makes is what the method says of all images then."""
    images = bars().images
    made = settings_with_resets()
    made = made.model_copy(update={"model": DenseSettings(hidden=(32,), latent=4, dropout=0.5, batch_norm=True)})
    seed_all(0)
    method = DEC(made, SHAPE)
    phases = method.phases(images, launch(made.runtime))
    cluster = phases[-1]
    assert isinstance(cluster, GradientPhase)
    assert cluster.restart is not None
    restart = cluster.restart
    seen: list[int] = []

    def watched(epoch: int) -> Sequence[nn.Parameter]:
        forgotten = restart(epoch)
        assert not any(module.training for module in method.backbone.modules())
        assert method.target.p is not None
        q = method.assign(images).probabilities
        assert q is not None
        assert torch.allclose(method.target.p, target_distribution(q), atol=1e-5)
        seen.append(epoch)
        return forgotten

    reset_loop(method, images).run([*phases[:-1], dataclasses.replace(cluster, restart=watched)])
    assert seen == [1, 2, 3]
