"""UMAP's layout beneath a joint method: training images keep their places, new ones lie among their neighbours."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from configs.schema import RunConfig
from data.image_set import ImageSet
from data.sources import load
from engine.fit import fit
from engine.phase_store import PhaseStore
from engine.randomness import seed_all
from engine.restore import restore
from evaluation.evaluate import evaluate
from evaluation.predictions import EvaluationError, predict
from methods.deepdpm import DeepDPM
from models.autoencoder import ImageShape, ModelError
from parts.laid_out import LaidOut
from report.onnx_file import write_onnx
from report.tensorboard.page import TensorBoardObserver
from tests.joint_runs import whole_and_resumed
from tests.pretend_accelerator import pretend
from tests.small import SMALL, small_config
from tests.tiny_network import tiny_network_yaml

pytestmark = pytest.mark.umap
LAYOUT = "layout={components: 2, neighbours: 5, extension: 3, epochs: 20}"
AFTER = [f"representation.umap.{part}" for part in ("components=2", "neighbours=5", "extension=3", "epochs=20")]


def config(*settings: str) -> RunConfig:
    return small_config("deepdpm", settings=[LAYOUT, *settings])


def built() -> DeepDPM:
    seed_all(0)
    return DeepDPM(config(), ImageShape(1, 8, 8))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def digits() -> ImageSet:
    return load("digits").subset(torch.arange(120))


def test_the_layout_is_that_of_two_stages_and_is_computed_once(digits: ImageSet, tmp_path: Path) -> None:
    store = PhaseStore(tmp_path)
    pretraining = [f"representation.autoencoder.{part}" for part in SMALL["deepdpm"] if part.startswith("pretrain")]
    before = fit(small_config("ae-umap-kmeans", settings=[*AFTER, *pretraining]), digits, store=store)
    watched = lambda settled: [TensorBoardObserver(tmp_path / "tb", digits, settled.clusters)]  # noqa: E731
    after = fit(config(), digits, store=store, watch=watched)
    assert after.checkpoint.loop.shared == ["pretrain", "represent-umap"]
    assert torch.equal(after.method.embed(digits.images), before.method.embed(digits.images))
    assert after.method.space == "UMAP (2-d)"
    assert after.method.notes[:2] == ("UMAP seeded, one thread", "new images: 3 nearest neighbours")
    assert len(after.method.notes) == 3

    _, again = restore(after.checkpoint, "here")
    few, new = digits.images[[7, 3]], load("digits").images[200:203]
    assert torch.equal(again.embed(few), before.method.embed(digits.images)[[7, 3]])  # whatever the batch
    assert torch.equal(again.assign(new).labels, after.method.assign(new).labels)
    assert torch.equal(again.assign(digits.images).labels, after.assignments.labels)
    with pytest.raises(EvaluationError, match=r"stands on a layout by UMAP.*train with layout=null"):
        write_onnx(tmp_path / "network.onnx", again, digits)

    places = again.embed(digits.images)
    assert bool((again.embed(new) >= places.amin(dim=0)).all())
    assert bool((again.embed(new) <= places.amax(dim=0)).all())


def test_a_resumed_run_ends_with_the_same_bits(digits: ImageSet) -> None:
    """From before the layout, and from the training on it."""
    whole_and_resumed(built, digits.images, steps=[0, 3])


def test_features_of_others_are_laid_out_as_well(digits: ImageSet) -> None:
    fitted = fit(config(f"pretrain={{objective: frozen, {tiny_network_yaml()}}}"), digits)
    assert [row["phase"] for row in fitted.checkpoint.loop.history if "loss" not in row][:3] == [
        "represent-frozen",
        "represent-umap",
        "represent-places",
    ]
    assert fitted.method.notes[0].startswith("frozen features of")
    assert fitted.method.pretrained_on  # type: ignore[attr-defined]


def test_it_runs_on_an_accelerator(digits: ImageSet) -> None:
    steps = ["cluster.min_steps=8", "cluster.batch_size=50", "pretrain.min_steps=8", "pretrain.batch_size=50"]
    with pretend() as (accelerator, processes):
        fitted = fit(config(*steps), digits, processes=processes)
        assert accelerator.captured >= 2
        assert 0 <= evaluate(predict(fitted.method, digits))["acc"] <= 1  # type: ignore[operator]


def test_it_rests() -> None:
    backbone = built().backbone
    assert isinstance(backbone, LaidOut)
    assert backbone.rests
    with pytest.raises(ModelError, match="a layout by UMAP is not trained"):
        backbone.branch(True)
