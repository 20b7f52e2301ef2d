"""Frozen features in a run: one pass for many runs, no weights in a checkpoint, and tables that keep them apart."""

from __future__ import annotations

import copy
import io
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console
from torch import Tensor

from configs.schema import RuntimeSettings
from data.image_set import DataError, ImageSet
from data.sources import load
from engine import progress
from engine.checkpoint import Checkpoint
from engine.errors import CheckpointError
from engine.fit import Fitted, fit
from engine.kept_features import recall_features
from engine.phase_store import PhaseStore
from engine.processes import launch
from engine.progress import Display
from engine.restore import restore
from evaluation.predictions import EvaluationError, predict
from methods.base import Method
from methods.resolve import resolve_config
from methods.scan import SCAN
from models.autoencoder import ImageShape, ModelError
from models.pretrained import PretrainedNetwork
from parts.phases import GradientPhase, Progress
from report.onnx_file import write_onnx
from report.score_table import score_row
from report.table import render
from report.train_run import Request, train
from tests.small import small_config
from tests.tiny_network import NAME, tiny_network, tiny_network_yaml


@pytest.fixture(scope="module")
def digits() -> ImageSet:
    return load("digits").subset(torch.arange(120))


@pytest.fixture
def encoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many images the network was shown, call by call."""
    counts: list[int] = []
    original = PretrainedNetwork.__call__

    def counted(network: PretrainedNetwork, images: Tensor, *rest: Any) -> Tensor:
        counts.append(len(images))
        return original(network, images, *rest)

    monkeypatch.setattr(PretrainedNetwork, "__call__", counted)
    return counts


def run(name: str, digits: ImageSet, **more: Any) -> Fitted:
    return fit(small_config(name, settings=more.pop("settings", ())), digits, **more)


def rates(method: Method, digits: ImageSet) -> dict[str, float]:
    """The learning rate of every trained phase."""
    phases = method.phases(digits.images, launch(RuntimeSettings(device="cpu")))
    return {phase.name: phase.optimiser.learning_rate for phase in phases if isinstance(phase, GradientPhase)}


def test_features_that_are_no_numbers_name_the_network(digits: ImageSet, monkeypatch: pytest.MonkeyPatch) -> None:
    original = PretrainedNetwork.__call__
    monkeypatch.setattr(PretrainedNetwork, "__call__", lambda *args: original(*args) * torch.nan)
    with pytest.raises(ModelError, match=f"{NAME} gives NaN or infinite features for 120 of 120 images"):
        run("frozen-kmeans", digits)


@pytest.mark.parametrize(
    ("method", "settings", "said"),
    [
        ("frozen-kmeans", ["representation.frozen.model=gone.pt"], "there is no file gone.pt"),
        ("frozen-kmeans", ["representation.frozen.beside=[gone.ts]"], "there is no file gone.ts"),
        ("temi", ["pretrain={objective: frozen, model: nothing}"], "there is no network 'nothing'"),
        ("features-kmeans", ["representation.features.beside=[gone.npy]"], "there is no file .*, which should hold"),
        ("turtle", ["pretrain={objective: features, file: README.md}"], "README.md ends in '.md'"),
    ],
)
def test_what_is_not_to_be_had_is_said_before_images_are_read(
    method: str, settings: list[str], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("report.train_run.load_images", None)
    tiny = [f"representation.frozen={{{tiny_network_yaml()}}}"] if method == "frozen-kmeans" else []
    request = Request(method, None, [*tiny, *settings], {"clusters": 3}, None, None, False, False, False)
    with pytest.raises((ModelError, DataError), match=said):
        train(request, Display(quiet=True))


def test_many_clusterers_cost_one_pass(digits: ImageSet, encoded: list[int], tmp_path: Path) -> None:
    alone = run("frozen-agglomerative", digits)
    encoded.clear()
    store = PhaseStore(tmp_path)
    run("frozen-kmeans", digits, store=store)
    shared = run("frozen-agglomerative", digits, store=store)
    run("frozen-pca-som", digits, store=store)
    network = [f"pretrain={{objective: frozen, {tiny_network_yaml()}}}"]
    for name, settings in {
        "temi": ["cluster.neighbours=5"],
        "pace": ["self_label=~"],
        "scan": [],
        "turtle": [],
    }.items():
        run(name, digits, store=store, settings=[*network, *settings])
    other_seed = run("frozen-kmeans", digits, store=store, settings=["seed=1"])
    assert other_seed.checkpoint.loop.shared == ["represent-frozen"]
    assert sum(encoded) == len(digits)
    assert shared.checkpoint.loop.shared == ["represent-frozen"]
    assert torch.equal(shared.assignments.labels, alone.assignments.labels)
    fresh = shared.method.embed(255 - digits.images[:7])  # new images are encoded when they are asked for
    assert sum(encoded) == len(digits) + 7
    assert torch.allclose(fresh.norm(dim=1), torch.ones(7))
    assert torch.equal(shared.method.embed(digits.images[:7]), shared.method.embed(digits.images)[:7])
    assert sum(encoded) == len(digits) + 7


TINY = f"{{objective: frozen, {tiny_network_yaml()}}}"
TWO = f"{{objective: frozen, {tiny_network_yaml()}, beside: [{{{tiny_network_yaml()}, mean: [0, 0, 0]}}]}}"


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("frozen-kmeans", []),
        ("frozen-pca-agglomerative", []),
        ("scan", [f"pretrain={TINY}"]),
        ("turtle", [f"pretrain={TWO}"]),
    ],
)
def test_who_opens_a_run_has_its_features_without_another_pass(
    name: str,
    settings: list[str],
    digits: ImageSet,
    encoded: list[int],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fitted = run(name, digits, store=PhaseStore(tmp_path), settings=settings)
    monkeypatch.setattr("engine.restore.shared_phases", lambda: PhaseStore(tmp_path / "empty"))
    computing = restore(fitted.checkpoint, "here")[1]
    monkeypatch.setattr("engine.restore.shared_phases", lambda: PhaseStore(tmp_path))
    method = restore(fitted.checkpoint, "here")[1]
    encoded.clear()
    assert torch.equal(predict(method, digits).assignments.labels, fitted.assignments.labels)
    some = torch.cat([255 - digits.images[:3], digits.images[[5, 2]]])
    found = method.embed(some)
    networks = len(computing.kept_features)
    assert sum(encoded) == 3 * networks  # the new ones, by every network
    assert torch.allclose(found, computing.embed(some), atol=1e-5)
    assert sum(encoded) == (3 + 5) * networks


def test_features_of_older_versions_do_not_tell_their_images(digits: ImageSet, encoded: list[int]) -> None:
    fitted = run("frozen-kmeans", digits)
    method = restore(fitted.checkpoint, "here")[1]
    older = {"state": {"_extra_state": {"features": torch.zeros(120, 4)}}, "history": [{"phase": "represent-frozen"}]}
    other = {"state": {"weight": torch.zeros(3)}, "history": [{"phase": "pretrain"}]}
    for stored in (older, other, None):
        recall_features(method, ["key"], lambda _, stored=stored: stored)
    encoded.clear()
    assert torch.equal(method.assign(digits.images).labels, fitted.assignments.labels)
    assert sum(encoded) == len(digits)


def test_a_run_that_goes_on_has_its_features_without_another_pass(
    digits: ImageSet, encoded: list[int], tmp_path: Path
) -> None:
    store, saved = PhaseStore(tmp_path), []
    whole = run("frozen-pca-kmeans", digits, store=store, save=lambda found: saved.append(copy.deepcopy(found)))
    earlier = next(checkpoint for checkpoint in saved if checkpoint.loop.phase == 1)
    encoded.clear()
    again = run("frozen-pca-kmeans", digits, store=store, earlier=earlier)
    assert not encoded
    assert torch.equal(again.assignments.labels, whole.assignments.labels)


def test_a_run_that_goes_on_ends_with_the_same_bits(digits: ImageSet) -> None:
    saved: list[Checkpoint] = []
    whole = run("frozen-pca-kmeans", digits, save=lambda checkpoint: saved.append(copy.deepcopy(checkpoint)))
    earlier = next(checkpoint for checkpoint in saved if checkpoint.loop.phase == 1)
    again = run("frozen-pca-kmeans", digits, earlier=earlier)
    assert torch.equal(again.method.embed(digits.images), whole.method.embed(digits.images))
    assert torch.equal(again.assignments.labels, whole.assignments.labels)


def test_a_checkpoint_names_the_weights_and_holds_none(digits: ImageSet) -> None:
    fitted = run("frozen-kmeans", digits)
    state = fitted.checkpoint.method
    assert state["encoder._extra_state"]["network"] == NAME
    assert len(state["encoder._extra_state"]["sha256"]) == 64
    numbers = [value for extra in state.values() if isinstance(extra, dict) for value in extra.values()]
    sizes = [value.numel() for value in [*state.values(), *numbers] if isinstance(value, Tensor)]
    assert sum(sizes) < 11 * 1024 + 100  # ten centroids, and no features of 120 images
    config, method = restore(fitted.checkpoint, "here")
    assert torch.equal(method.assign(digits.images).labels, fitted.assignments.labels)
    assert config.method == "frozen-kmeans"


def test_other_weights_or_none_are_said_when_it_is_opened(digits: ImageSet, tmp_path: Path) -> None:
    weights = tmp_path / "weights.pt"
    state = torch.load(tiny_network()[1].removeprefix("weights="), weights_only=True)
    torch.save(state, weights)
    checkpoint = run("frozen-kmeans", digits, settings=[f"representation.frozen.weights={weights}"]).checkpoint
    state["conv1.0.weight"] = state["conv1.0.weight"] + 1
    torch.save(state, weights)
    with pytest.raises(CheckpointError, match="give back the weights of the run"):
        restore(checkpoint, "here")
    weights.unlink()
    with pytest.raises(ModelError, match="there is no file .*weights.pt"):
        restore(checkpoint, "here")


def test_rows_with_outside_data_stand_apart(digits: ImageSet) -> None:
    rows = []
    for name, settings in (("raw-kmeans", []), ("frozen-kmeans", ["representation.frozen.pretrained_on=cats"])):
        fitted = run(name, digits, settings=settings)
        config = small_config(name, settings=settings)
        rows.append(score_row(fitted.checkpoint, config, fitted.method, predict(fitted.method, digits), "here"))
    assert "outside_data" not in rows[0]
    assert rows[1]["outside_data"] == "cats"
    assert f"frozen features of {NAME}, pretrained on cats" in str(rows[1]["notes"])
    text = render(rows[::-1], "markdown")
    within, heading, outside = text.partition("## With a network or features of others")
    assert heading
    assert "raw-kmeans" in within
    assert "frozen-kmeans" not in within
    assert "frozen-kmeans" in outside
    assert "raw-kmeans" not in outside
    assert "pretrained on other data" not in render(rows[:1], "markdown")


def test_methods_that_train_the_encoder_refuse_it(digits: ImageSet) -> None:
    with pytest.raises(ModelError, match="a frozen network is not trained"):
        run("idec", digits, settings=[f"pretrain={{objective: frozen, {tiny_network_yaml()}}}"])


def test_scan_trains_its_heads_alone_on_it(digits: ImageSet) -> None:
    frozen = [f"pretrain={{objective: frozen, {tiny_network_yaml()}}}"]
    fitted = run("scan", digits, settings=frozen)
    assert [row["phase"] for row in fitted.checkpoint.loop.history if "loss" not in row][-1] == "select"
    assert {row["phase"] for row in fitted.checkpoint.loop.history if "loss" in row} == {"cluster"}
    assert fitted.method.notes[0].startswith("frozen features of")
    assert fitted.method.embed(digits.images[:5]).norm(dim=1).tolist() == pytest.approx([1.0] * 5)
    assert rates(fitted.method, digits) == {"cluster": 0.1}
    assert rates(SCAN(small_config("scan"), ImageShape(1, 8, 8)), digits)["cluster"] == 0.001
    new = 255 - digits.images[:20]
    _, again = restore(fitted.checkpoint, "here")
    assert torch.equal(again.assign(new).labels, fitted.method.assign(new).labels)


def test_several_networks_stand_side_by_side(digits: ImageSet, encoded: list[int], tmp_path: Path) -> None:
    store = PhaseStore(tmp_path)
    one = run("frozen-kmeans", digits, store=store)
    encoded.clear()
    more = f"beside=[{{{tiny_network_yaml()}, mean: [0, 0, 0], pretrained_on: noise}}]"
    two = run("frozen-kmeans", digits, store=store, settings=[f"representation.frozen.{more}"])
    assert encoded == [2, len(digits)]  # a probe and the images; the first network's features were there
    z, first = two.method.embed(digits.images), one.method.embed(digits.images)
    size = first.shape[1]
    assert torch.equal(z[:, :size], first)
    assert z[:, size:].norm(dim=1).tolist() == pytest.approx([1.0] * len(digits))
    assert not torch.allclose(z[:, size:], first)
    assert two.method.pretrained_on == f"{one.method.pretrained_on}; noise"
    assert len(two.method.notes) == 2
    turtle = run(
        "turtle", digits, settings=[f"pretrain={{objective: frozen, {tiny_network_yaml()}, {more_yaml(more)}}}"]
    )
    assert turtle.method.labelling.sizes == [size, size, 4]


def more_yaml(assignment: str) -> str:
    return assignment.replace("=", ": ", 1)


def test_pace_runs_on_it_without_self_labelling(digits: ImageSet) -> None:
    frozen = ["pretrain.objective=frozen", *(f"pretrain.{setting}" for setting in tiny_network())]
    small = ["cluster.heads=2", "cluster.generations=0", "cluster.epochs=1", "cluster.min_steps=0"]
    config = resolve_config("pace", None, [*frozen, *small, "data.name=digits", "runtime.device=cpu"], {})
    fitted = fit(config, digits)
    assert fitted.assignments.labels.shape == (120,)
    assert fitted.method.notes[0].startswith("frozen features of")


def test_a_long_pass_says_how_long_it_will_take(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 5.0, 20.0, 25.0, 40.0])
    monkeypatch.setattr(progress.time, "perf_counter", lambda: next(clock))
    text = io.StringIO()
    display, done = Display(Console(file=text, width=100)), Progress(4000)
    display.start("represent-frozen", None)
    done.listen = display.part
    for _ in range(4):
        done.add(1000)
    assert text.getvalue().splitlines() == ["represent-frozen …", "2,000 of 4,000 images, 20 s left"]


def test_shape_is_no_matter(digits: ImageSet) -> None:
    from methods.two_stage import TwoStage

    method = TwoStage(small_config("frozen-kmeans"), ImageShape(3, 20, 30))
    assert method.embed(torch.zeros(2, 3, 20, 30, dtype=torch.uint8)).shape == (2, 1024)


def test_it_is_not_written_as_onnx(digits: ImageSet, tmp_path: Path) -> None:
    settings = [f"pretrain={{objective: frozen, {tiny_network_yaml()}}}", "cluster.neighbours=5"]
    with pytest.raises(EvaluationError, match="a frozen network of others"):
        write_onnx(tmp_path / "network.onnx", run("temi", digits, settings=settings).method, digits)
