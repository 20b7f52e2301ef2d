"""Layer-wise pretraining: which layers are paired, the loss worked out by hand, and what it leaves alone."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from configs.schema import GreedySettings, PretrainSettings, RuntimeSettings
from engine.phase_keys import phase_keys
from engine.processes import launch
from engine.randomness import BatchNoise
from models.autoencoder import ImageShape, ModelError
from models.build import build_autoencoder
from models.normalise import Normalise
from models.settings import ConvSettings, DenseSettings
from parts.greedy_pretraining import LayerObjective, greedy_pretraining
from parts.phases import Batch
from tests.small import run_config
from tests.test_dec import ADAM, bars, config

SHAPE = ImageShape(1, 8, 8)
NETWORK = DenseSettings(hidden=(12, 6), latent=3)
SETTINGS = PretrainSettings(batch_size=50, min_steps=0, greedy=GreedySettings(epochs=3, dropout=0.2, optimiser=ADAM))


def batch(images: torch.Tensor) -> Batch:
    n = len(images)
    return Batch(images, torch.arange(n), BatchNoise(0, n, slice(0, n), torch.device("cpu")))


def test_every_layer_is_paired_with_its_mirror_image() -> None:
    autoencoder = build_autoencoder(NETWORK, SHAPE)
    phases = greedy_pretraining(Normalise(1), autoencoder, SETTINGS, NETWORK, 400)
    assert [phase.name for phase in phases] == ["pretrain-layer-1", "pretrain-layer-2", "pretrain-layer-3"]
    widths = [
        [(m.in_features, m.out_features) for m in phase.module.modules() if isinstance(m, nn.Linear)]
        for phase in phases
    ]
    assert widths == [[(64, 12), (12, 64)], [(12, 6), (6, 12)], [(6, 3), (3, 6)]]
    relus = [sum(isinstance(m, nn.ReLU) for m in phase.module.modules()) for phase in phases]
    assert relus == [1, 2, 1]  # the image and z are linear, all other layers end in ReLU
    trained = [id(p) for phase in phases for p in phase.module.parameters()]
    assert sorted(trained) == sorted(id(p) for p in autoencoder.parameters())


def test_the_loss_without_dropout_by_hand() -> None:
    autoencoder = build_autoencoder(NETWORK, SHAPE)
    _, second, _ = greedy_pretraining(Normalise(1), autoencoder, SETTINGS, NETWORK, 400)
    images = bars(20).images
    second.module.eval()
    loss = second.module(batch(images))["loss"].item()

    w1, b1, w2, b2, _, _ = (p.detach() for p in autoencoder.encoder.parameters())
    _, _, w4, b4, _, _ = (p.detach() for p in autoencoder.decoder.parameters())
    x = (images.flatten(1) / 255 @ w1.T + b1).clamp_min(0)
    h = (x @ w2.T + b2).clamp_min(0)
    y = (h @ w4.T + b4).clamp_min(0)
    assert loss == pytest.approx(float((y - x).square().mean()), rel=1e-5)


def test_dropout_corrupts_the_input_in_training_alone() -> None:
    objective = greedy_pretraining(Normalise(1), build_autoencoder(NETWORK, SHAPE), SETTINGS, NETWORK, 400)[0].module
    assert isinstance(objective, LayerObjective)
    images = bars(20).images
    objective.train()
    assert objective(batch(images))["loss"] != objective(batch(images))["loss"]
    objective.eval()
    assert objective(batch(images))["loss"] == objective(batch(images))["loss"]


def test_it_lowers_the_error_that_the_whole_begins_with() -> None:
    images = bars().images
    errors = []
    for greedy in (None, SETTINGS.greedy):
        pretrain = SETTINGS.model_copy(update={"greedy": greedy, "epochs": 1})
        made = config().model_copy(update={"model": NETWORK, "pretrain": pretrain})
        history = run_config(made, images, launch(made.runtime)).checkpoint.loop.history
        (first,) = (row["loss"] for row in history if row["phase"] == "pretrain" and "loss" in row)
        errors.append(first)
    assert errors[1] < errors[0]


def test_layers_of_other_batches_are_not_taken_over_from_another_run() -> None:
    autoencoder = build_autoencoder(NETWORK, SHAPE)

    def addresses(size: int) -> list[str]:
        settings = SETTINGS.model_copy(update={"batch_size": size})
        phases = greedy_pretraining(Normalise(1), autoencoder, settings, NETWORK, 400)
        return phase_keys(phases, torch.zeros(1, 1, 1, 1, dtype=torch.uint8), launch(RuntimeSettings(device="cpu")), {})

    assert addresses(50) == addresses(50)
    assert not set(addresses(50)) & set(addresses(40))


def test_convolutions_are_refused() -> None:
    network = ConvSettings()
    with pytest.raises(ModelError, match=r"trains dense layers one by one, and model\.name is conv"):
        greedy_pretraining(Normalise(1), build_autoencoder(network, ImageShape(1, 28, 28)), SETTINGS, network, 400)
