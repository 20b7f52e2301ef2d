"""Contrastive learning: the loss by hand, its memory, what processes see, and what stands on the encoder."""

from __future__ import annotations

import math

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor
from torch.nn.functional import normalize

from configs.schema import AugmentationSettings
from engine.processes import launch
from engine.randomness import BatchNoise, seed_all
from losses.contrastive import Memory, nt_xent
from methods.dec import DEC, DECConfig
from models.autoencoder import ImageShape, ModelError
from models.projection import ProjectionHead
from models.settings import ConvLayer, ConvSettings
from parts.backbones import ContrastiveBackbone, ContrastiveStageSettings
from parts.contrastive_pretraining import ContrastiveObjective, ContrastivePretrainSettings
from parts.phases import Batch, GradientPhase
from tests.test_dec import bars, config

SHAPE = ImageShape(1, 8, 8)
NETWORK = ConvSettings(latent=8, layers=(ConvLayer(channels=4, kernel=3),), hidden=(), batch_norm=True)
SHIFTS = AugmentationSettings(shift=0.1)


def batch(images: Tensor, seed: int = 0) -> Batch:
    n = len(images)
    return Batch(images, torch.arange(n), BatchNoise(seed, n, slice(0, n), torch.device("cpu")))


def directions(n: int, seed: int) -> Tensor:
    return normalize(torch.randn(n, 5, generator=torch.Generator().manual_seed(seed)), dim=1)


def test_the_loss_is_the_cross_entropy_of_the_other_view_by_hand() -> None:
    first, second = directions(3, 0), directions(3, 1)
    views = [*first.tolist(), *second.tolist()]
    dot = [[sum(a * b for a, b in zip(u, v, strict=True)) / 0.5 for v in views] for u in views]
    total = 0.0
    for i in range(6):
        partner = (i + 3) % 6
        total -= dot[i][partner] - math.log(sum(math.exp(dot[i][j]) for j in range(6) if j != i))
    assert nt_xent(first, second, 0.5).item() == pytest.approx(total / 6, rel=1e-5)


def test_remembered_views_are_more_to_tell_apart_from_by_hand() -> None:
    first, second, others = directions(2, 0), directions(2, 1), directions(3, 2).requires_grad_()
    unset = torch.full((2, others.shape[1]), 7.0)  # rows that hold no view yet
    memory = Memory(torch.cat([others, unset]), torch.tensor([True, True, True, False, False]))
    loss = nt_xent(first.requires_grad_(), second, 0.5, memory)
    views = torch.cat([first, second]).detach()
    total = 0.0
    for i in range(4):
        against = [float(views[i] @ views[j]) for j in range(4) if j != i]
        against += [float(views[i] @ other) for other in others.detach()]
        total -= float(views[i] @ views[(i + 2) % 4]) / 0.5 - math.log(sum(math.exp(s / 0.5) for s in against))
    assert loss.item() == pytest.approx(total / 4, rel=1e-5)
    loss.backward()
    assert others.grad is None
    assert first.grad is not None


def test_equal_views_of_distinct_images_cost_less_than_unrelated_ones() -> None:
    first = torch.eye(5)
    assert nt_xent(first, first, 0.2) < nt_xent(first, first.roll(1, 0), 0.2)


def test_the_gradient_by_finite_differences() -> None:
    first, second = directions(3, 0).double().requires_grad_(), directions(3, 1).double().requires_grad_()
    assert torch.autograd.gradcheck(lambda a, b: nt_xent(a, b, 0.3), (first, second))


def test_half_precision_layers_lead_to_views_of_length_one() -> None:
    torch.manual_seed(0)
    head = ProjectionHead(16, (32, 8), 0)
    with torch.autocast("cpu", torch.bfloat16):
        projected = head(torch.randn(40, 16))
    assert projected.dtype == torch.float32
    assert torch.allclose(projected.norm(dim=1), torch.ones(40), atol=1e-6)


def test_the_memory_keeps_the_newest_views() -> None:
    def held(head: ProjectionHead) -> Tensor:
        memory = head.recall()
        assert memory is not None
        return memory.views[memory.filled]

    assert ProjectionHead(5, (), 0).recall() is None
    head = ProjectionHead(5, (), 5)
    assert len(held(head)) == 0
    one, two, three = (directions(2, seed) for seed in range(3))
    head.remember(one)
    assert torch.equal(held(head), one)
    head.remember(two)
    head.remember(three)
    assert torch.equal(held(head), torch.cat([three, two, one[:1]]))
    other = ProjectionHead(5, (), 5)
    other.load_state_dict(head.state_dict())
    assert torch.equal(held(other), held(head))


def test_a_step_remembers_its_views_once_it_is_taken() -> None:
    images = bars(20).images
    trained = objective(images, memory=40)
    taken = batch(images)
    trained(taken)["loss"].backward()  # whose gradients the memory must not have changed meanwhile
    assert int(trained.head.filled) == 0
    trained.after_step(taken)
    assert int(trained.head.filled) == 40


def objective(images: Tensor, **changes: object) -> ContrastiveObjective:
    seed_all(0)
    pretrain = ContrastivePretrainSettings.model_validate({"augmentation": SHIFTS, "batch_size": 50, **changes})
    backbone = ContrastiveBackbone(ContrastiveStageSettings(model=NETWORK, pretrain=pretrain), SHAPE)
    (phase,) = backbone.phases(images, launch(config().runtime))
    assert isinstance(phase, GradientPhase)
    assert isinstance(phase.module, ContrastiveObjective)
    return phase.module


def test_the_objective_compares_two_different_views_of_every_image() -> None:
    images = bars(20).images
    trained = objective(images).eval()
    seen: list[Tensor] = []
    trained.encoder.register_forward_pre_hook(lambda _, x: seen.append(x[0]))
    loss = trained(batch(images))["loss"].item()
    (views,) = seen
    first, second = views.chunk(2)
    assert not torch.equal(first, second)
    projected = trained.head(trained.encoder(views)).detach()
    assert loss == pytest.approx(nt_xent(*projected.chunk(2), 0.2).item(), rel=1e-5)
    assert trained(batch(images))["loss"] == trained(batch(images))["loss"] != trained(batch(images, 1))["loss"]


def test_two_processes_make_the_gradient_of_one() -> None:
    """Each differentiates by its own views of the whole batch; their mean is what one process computes."""

    class Half:
        """One of two processes, which is told the other's views."""

        def __init__(self, everyone: list[Tensor], rank: int) -> None:
            self.everyone, self.rank, self.calls = everyone, rank, 0

        def together(self, own: Tensor) -> Tensor:
            self.calls += 1
            views = self.everyone[self.calls - 1].clone()
            views[10 * self.rank : 10 * self.rank + 10] = own
            return views

    images = bars(20).images
    whole = objective(images).eval()  # batch-norm's statistics are each process's own
    seen: list[Tensor] = []
    whole.head.register_forward_hook(lambda *args: seen.append(args[2].detach()))
    whole(batch(images))["loss"].backward()
    expected = {name: p.grad.clone() for name, p in whole.named_parameters() if p.grad is not None}
    everyone = list(seen[0].chunk(2))

    halves: list[dict[str, Tensor]] = []
    for rank in range(2):
        part = objective(images).eval()
        part.compute = Half(everyone, rank)  # type: ignore[assignment]
        rows = slice(10 * rank, 10 * rank + 10)
        noise = BatchNoise(0, 20, rows, torch.device("cpu"))
        loss = part(Batch(images[rows], torch.arange(20)[rows], noise))["loss"]
        assert loss.item() == pytest.approx(nt_xent(*everyone, 0.2).item(), rel=1e-5)
        loss.backward()
        halves.append({name: p.grad for name, p in part.named_parameters() if p.grad is not None})
    for name, gradient in expected.items():
        assert torch.allclose((halves[0][name] + halves[1][name]) / 2, gradient, atol=1e-6), name


def test_dec_stands_on_it_and_has_no_decoder() -> None:
    settings = config().model_dump() | {
        "model": NETWORK,
        "pretrain": ContrastivePretrainSettings(augmentation=SHIFTS, epochs=1, min_steps=0, batch_size=50),
    }
    method = DEC(DECConfig.model_validate(settings), SHAPE)
    assert method.reconstruct(bars(8).images) is None
    assert method.decoded_centroids() is None
    z = method.embed(bars(8).images)
    assert torch.allclose(z.norm(dim=1), torch.ones(8), atol=1e-5)


def test_a_decoder_that_is_not_there_cannot_be_kept() -> None:
    backbone = ContrastiveBackbone(ContrastiveStageSettings(model=NETWORK), SHAPE)
    with pytest.raises(ModelError, match="set pretrain.objective to reconstruction or elbo"):
        backbone.branch(True)


def test_views_that_cannot_differ_are_refused() -> None:
    with pytest.raises(ValidationError, match="both views are the same image"):
        ContrastivePretrainSettings(augmentation=AugmentationSettings())
