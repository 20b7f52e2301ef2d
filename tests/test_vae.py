"""The variational autoencoder: networks, the objective worked out independently, warm-up, resume, a known optimum."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Bernoulli, Normal, kl_divergence

from configs.schema import PretrainSettings, RunConfig, RuntimeSettings
from data.image_set import ImageSet
from engine.checkpoint import Checkpoint
from engine.fit import fit
from engine.randomness import BatchNoise, seed_all
from methods.base import Assignments
from models.autoencoder import ImageShape, ModelError
from models.build import build_autoencoder, build_vae
from models.held_within import held_within
from models.normalise import Normalise
from models.settings import AutoencoderSettings, ConvSettings, DenseSettings
from models.vae import LOG_VARIANCE_BOUND, reparameterise
from parts.phases import Batch, Compute, Phase
from parts.pretraining import pretraining
from parts.vae_pretraining import ELBOObjective, VAEPretrainSettings, vae_pretraining

CPU = torch.device("cpu")
SHAPE = ImageShape(1, 4, 4)
SMALL = DenseSettings(hidden=(6,), latent=2)
IMAGES = torch.randint(0, 256, (40, *SHAPE), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def batch(images: Tensor = IMAGES, seed: int = 0, rows: slice = slice(None)) -> Batch:
    noise = BatchNoise(seed, len(images), rows, CPU)
    return Batch(images[rows], torch.arange(len(images))[rows], noise)


def objective(warmup_steps: int = 0, network: AutoencoderSettings = SMALL, **settings: Any) -> ELBOObjective:
    torch.manual_seed(0)
    return ELBOObjective(Normalise(1), build_vae(network, SHAPE), VAEPretrainSettings(**settings), warmup_steps)


def test_the_network_of_report_c_layer_by_layer() -> None:
    vae = build_vae(DenseSettings(hidden=(256, 64), latent=16), ImageShape(1, 28, 28))
    widths = [
        [m.out_features for m in part.modules() if isinstance(m, nn.Linear)] for part in (vae.encoder, vae.decoder)
    ]
    assert widths == [[256, 64, 32], [64, 256, 784]]


@pytest.mark.parametrize(
    "settings", [ConvSettings(latent=3), ConvSettings(hidden=(), latent=3), DenseSettings(latent=3)]
)
@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 11, 17)])
def test_any_image_goes_in_and_comes_out(settings: AutoencoderSettings, shape: tuple[int, int, int]) -> None:
    vae = build_vae(settings, ImageShape(*shape))
    x = torch.randn(5, *shape)
    mu, log_variance = vae.encode(x)
    assert mu.shape == log_variance.shape == (5, 3)
    assert torch.equal(torch.cat([mu, log_variance], dim=1), vae.encoder(x))
    assert vae.decode(mu).shape == x.shape


def test_reparameterise_by_hand() -> None:
    z = reparameterise(torch.tensor([[1.0, -1.0]]), torch.tensor([[0.0, math.log(9.0)]]), torch.tensor([[2.0, -1.0]]))
    assert z.tolist() == [[3.0, pytest.approx(-4.0)]]


@pytest.mark.parametrize("wild", [1e6, -1e6])
def test_a_wild_encoder_leaves_the_loss_finite(wild: float) -> None:
    made = objective()
    last = list(made.vae.encoder.children())[-1]
    last.get_parameter("bias").data[2:] = wild
    _, log_variance = made.vae.encode(torch.rand(3, *SHAPE))
    assert set(log_variance.flatten().tolist()) == {math.copysign(LOG_VARIANCE_BOUND, wild)}
    assert all(bool(value.isfinite()) for value in made(batch()).values())


@pytest.mark.parametrize("start", [40.0, -40.0])
def test_training_comes_back_from_beyond_the_bound(start: float) -> None:
    """A bias of log σ² that moves by 1 a step is within the bound after 20; the loss falls with the variance."""
    made = objective()
    last = list(made.vae.encoder.children())[-1]
    bias = last.get_parameter("bias")
    bias.data[2:] = start
    optimiser = torch.optim.Adam([bias], lr=1.0)
    losses = []
    for step in range(60):
        optimiser.zero_grad()
        loss = made(batch(seed=step))["loss"]
        loss.backward()
        if step == 0:  # against the gradient is back
            assert bias.grad is not None
            assert bool(bias.grad.isfinite().all())
            assert (bias.grad[2:].sign() == math.copysign(1, start)).all()
        optimiser.step()
        losses.append(loss.item())
    _, log_variance = made.vae.encode(made.normalise(IMAGES))
    assert log_variance.abs().max() < 12
    assert losses[-1] < losses[0] * (1e-4 if start > 0 else 0.7)


def test_within_the_bound_nothing_is_changed_and_outside_only_the_way_back_is_open() -> None:
    x = torch.tensor([-30.0, -20.0, -1e-20, 0.0, 7.3, 20.0, 30.0, math.inf], requires_grad=True)
    held = held_within(x, 20.0)
    assert held.tolist() == [-20.0, *x.tolist()[1:6], 20.0, 20.0]
    upwards, downwards = (torch.autograd.grad(held, x, torch.full((8,), g), retain_graph=True)[0] for g in (-2.0, 2.0))
    assert upwards.tolist() == [-2.0] * 6 + [0.0, 0.0]
    assert downwards.tolist() == [0.0] + [2.0] * 7


@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian"])
def test_the_loss_is_the_negative_bound_of_torchs_distributions(likelihood: str) -> None:
    made = objective(likelihood=likelihood, beta=0.5)
    losses = made(batch(seed=3))
    x = IMAGES.double() / 255
    made.double()
    mu, log_variance = made.vae.encoder(x).split(2, dim=1)
    posterior = Normal(mu, (log_variance / 2).exp())
    epsilon = torch.randn(40, 2, generator=torch.Generator().manual_seed(3))
    output = made.vae.decode(mu + posterior.stddev * epsilon)
    pixel = Bernoulli(logits=output, validate_args=False) if likelihood == "bernoulli" else Normal(output, 1.0)
    reconstruction = -pixel.log_prob(x).flatten(1).sum(dim=1).mean().item()
    kl = kl_divergence(posterior, Normal(torch.zeros_like(mu), 1.0)).sum(dim=1).mean().item()
    assert losses["reconstruction"].item() == pytest.approx(reconstruction, rel=1e-5)
    assert losses["kl"].item() == pytest.approx(kl, rel=1e-5)
    assert losses["loss"].item() == pytest.approx(reconstruction + 0.5 * kl, rel=1e-5)


def test_gradients_are_those_of_finite_differences() -> None:
    made = objective(warmup_steps=4, beta=2.0).double().eval()  # evaluation: the step stands still
    made.vae.steps.fill_(3)
    parameters = dict(made.named_parameters())
    made(batch())["loss"].backward()
    for name, parameter in parameters.items():
        index = (0,) * parameter.ndim
        ends = []
        for shift in (1e-6, -2e-6):
            parameter.data[index] += shift
            ends.append(made(batch())["loss"].item())
        parameter.data[index] += 1e-6
        assert parameter.grad is not None
        assert parameter.grad[index].item() == pytest.approx((ends[0] - ends[1]) / 2e-6, rel=1e-4, abs=1e-6), name


def test_beta_grows_linearly_over_the_warm_up() -> None:
    made = objective(warmup_steps=4, beta=2.0)
    weights = []
    for _ in range(6):
        losses = made(batch())
        weights.append(((losses["loss"] - losses["reconstruction"]) / losses["kl"]).item())
    assert weights == pytest.approx([0.0, 0.5, 1.0, 1.5, 2.0, 2.0], abs=1e-4)


def test_only_training_counts_steps() -> None:
    made = objective(warmup_steps=10)
    made(batch())
    made.eval()
    made(batch())
    assert made.vae.steps.item() == 1


def test_noise_comes_from_the_batch_alone() -> None:
    made = objective()
    before = torch.get_rng_state()
    first = made(batch(seed=1))["loss"]
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(made(batch(seed=1))["loss"], first)
    assert not torch.equal(made(batch(seed=2))["loss"], first)


def test_two_halves_of_a_batch_make_the_whole() -> None:
    made = objective()
    halves = [made(batch(rows=rows)) for rows in (slice(0, 20), slice(20, 40))]
    for name, value in made(batch()).items():
        assert sum(half[name].item() for half in halves) / 2 == pytest.approx(value.item(), rel=1e-5)


def test_the_phase_knows_its_length() -> None:
    settings = VAEPretrainSettings(epochs=3, min_steps=0, batch_size=8, warmup=0.5)
    phase = vae_pretraining(Normalise(1), build_vae(SMALL, SHAPE), settings, SMALL, images=50)
    assert (phase.name, phase.epochs, phase.batch_size, phase.validates) == ("pretrain", 3, 8, True)
    assert isinstance(phase.module, ELBOObjective)
    assert phase.module.warmup_steps == 9  # half of 3 epochs of 6 whole batches
    few = vae_pretraining(
        Normalise(1), build_vae(SMALL, SHAPE), settings.model_copy(update={"min_steps": 100}), SMALL, images=5
    )
    assert isinstance(few.module, ELBOObjective)
    assert (few.epochs, few.module.warmup_steps) == (100, 50)  # one batch of all 5 images an epoch


def test_what_does_not_fit_the_likelihood_is_refused() -> None:
    squashed = DenseSettings(hidden=(6,), latent=2, output="sigmoid")
    standardised = Normalise(1)
    standardised.fit(IMAGES)
    gauss, bernoulli = VAEPretrainSettings(likelihood="gaussian"), VAEPretrainSettings()
    vae = build_vae(squashed, SHAPE)
    with pytest.raises(ModelError, match="takes logits.*use model.output linear"):
        vae_pretraining(Normalise(1), vae, bernoulli, squashed, 40)
    with pytest.raises(ModelError, match="likelihood bernoulli needs pixels from 0 to 1.*pixels unit"):
        vae_pretraining(standardised, vae, bernoulli, SMALL, 40)
    with pytest.raises(ModelError, match="model.output sigmoid needs pixels from 0 to 1"):
        vae_pretraining(standardised, vae, gauss, squashed, 40)
    with pytest.raises(ModelError, match="model.output sigmoid needs pixels from 0 to 1"):
        pretraining(standardised, build_autoencoder(squashed, SHAPE), PretrainSettings(), squashed, 40)
    assert vae_pretraining(Normalise(1), vae, gauss, squashed, 40).validates
    assert pretraining(Normalise(1), build_autoencoder(squashed, SHAPE), PretrainSettings(), squashed, 40).validates


class VAEMethod(nn.Module):
    """A method that trains a VAE and no more."""

    space, notes, clusters = "latent", (), 2

    def __init__(self) -> None:
        super().__init__()
        self.normalise, self.vae = Normalise(1), build_vae(SMALL, SHAPE)

    def phases(self, images: Tensor, compute: Compute) -> Sequence[Phase]:
        settings = VAEPretrainSettings(epochs=3, min_steps=0, batch_size=8, warmup=0.8)
        return (vae_pretraining(self.normalise, self.vae, settings, SMALL, len(images)),)

    def embed(self, images: Tensor) -> Tensor:
        return self.vae.encode(self.normalise(images))[0].detach()

    def assign(self, images: Tensor) -> Assignments:
        return Assignments(torch.zeros(len(images), dtype=torch.int64))


@pytest.mark.parametrize("stop_at", [1, 5, 9])
def test_resumed_in_the_warm_up_it_ends_with_the_same_bits(stop_at: int) -> None:
    config = RunConfig(method="vae", clusters=2, runtime=RuntimeSettings(device="cpu", checkpoint_seconds=0))
    images = ImageSet("small", "train", IMAGES)
    seed_all(0)
    whole, resumed = VAEMethod(), VAEMethod()
    saved: dict[int, Checkpoint] = {}

    def save(checkpoint: Checkpoint) -> None:
        if checkpoint.optimiser is not None:
            saved[checkpoint.loop.global_step] = copy.deepcopy(checkpoint)

    first = fit(config, images, method=whole, save=save).checkpoint.loop
    assert first.global_step == 15
    second = fit(config, images, method=resumed, earlier=saved[stop_at]).checkpoint.loop
    assert resumed.vae.steps.item() == 15
    for name, tensor in whole.state_dict().items():
        assert torch.equal(tensor, resumed.state_dict()[name]), name
    kept = ("loss", "reconstruction", "kl")
    assert [[row[k] for k in kept] for row in second.history] == [[row[k] for k in kept] for row in first.history]


def test_a_linear_vae_reaches_the_likelihood_of_probabilistic_pca() -> None:
    """Its best bound is tight (Lucas et al., "Don't Blame the ELBO!", NeurIPS 2019), and the covariance that is best
    with noise of variance 1 has the eigenvalues max(λ, 1) in the first d directions and 1 in the others."""
    generator = torch.Generator().manual_seed(0)
    factors = torch.randn(300, 2, generator=generator) * torch.tensor([2.0, 1.0])
    pixels = factors @ torch.randn(2, 16, generator=generator) + 0.5 * torch.randn(300, 16, generator=generator)
    images = (128 + 25 * pixels).clamp(0, 255).to(torch.uint8).reshape(300, *SHAPE)
    network = DenseSettings(hidden=(), latent=2)
    made = objective(network=network, likelihood="gaussian")
    made.normalise.fit(images)
    x = made.normalise(images).flatten(1).double()
    eigenvalues = torch.linalg.eigvalsh(torch.cov(x.T, correction=0)).flip(0)
    best, rest = eigenvalues[:2], eigenvalues[2:]
    assert float(best.min()) > 1
    optimum = 0.5 * (16 * math.log(2 * math.pi) + (best.log() + 1).sum() + rest.sum()).item()

    optimiser = torch.optim.Adam(made.parameters())
    steps = 600
    for step in range(steps):
        optimiser.param_groups[0]["lr"] = 0.03 * (1 - step / steps)
        optimiser.zero_grad()
        made(batch(images, seed=step))["loss"].backward()
        optimiser.step()
    with torch.no_grad():
        reached = torch.stack([made(batch(images, seed=10_000 + i))["loss"] for i in range(100)]).mean().item()
    assert reached == pytest.approx(optimum, rel=2e-3)
