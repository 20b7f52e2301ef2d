"""Every joint method, with its default network in small and with resets, finds four classes that lie apart."""

from __future__ import annotations

import pytest

from engine.randomness import seed_all
from evaluation.agreement import agreement
from evaluation.contingency import contingency
from methods.joint import JointMethod
from methods.registry import METHODS
from methods.resolve import resolve_config
from models.autoencoder import ImageShape
from tests.joint_runs import run
from tests.test_dec import bars

IMAGES = bars(120)
NETWORK = (
    "model={name: conv, latent: 4, layers: [{channels: 8, kernel: 4}, {channels: 16, kernel: 3}], hidden: [32]}",
    *("clusters=4", "runtime.device=cpu", "cluster.tol=0", "cluster.update_interval=8"),
)
SHORT = (
    *("pretrain.epochs=10", "pretrain.min_steps=0", "pretrain.batch_size=15", "pretrain.optimiser.learning_rate=2e-3"),
    *("cluster.max_epochs=5", "cluster.min_steps=0", "cluster.batch_size=15", "cluster.optimiser.learning_rate=1e-3"),
)
LONGER = ("pretrain.epochs=40",)
"""The lower bound keeps a latent once its reconstruction is good enough to pay for it."""
RESETS = ("cluster.reset={interval: 2, subsample: 60}",)


def accuracy(name: str, *settings: str) -> float:
    # DKM has no rule that stops.
    kept = [setting for setting in settings if name != "dkm" or not setting.startswith("cluster.tol")]
    config = resolve_config(name, None, kept, {})
    seed_all(0)
    method = METHODS[name].build(config, ImageShape(1, 8, 8))
    assert isinstance(method, JointMethod)
    run(method, IMAGES.images)
    method.eval()
    assert IMAGES.labels is not None
    return float(agreement(contingency(IMAGES.labels, method.assign(IMAGES.images).labels))["acc"])


@pytest.mark.parametrize("name", ["dec", "idec", "dcec", "dec-da", "idec-da", "dcn", "dkm", "dekm"])
def test_on_a_convolutional_autoencoder(name: str) -> None:
    assert accuracy(name, *NETWORK, *SHORT) > 0.98


@pytest.mark.parametrize("name", ["vae-dec", "vade"])
def test_on_a_convolutional_vae(name: str) -> None:
    assert accuracy(name, *NETWORK, *SHORT, *LONGER) > 0.98


@pytest.mark.parametrize("name", ["dec", "idec", "dcn", "dkm", "dekm"])
def test_with_resets(name: str) -> None:
    assert accuracy(name, *NETWORK, *SHORT, *RESETS) > 0.98
