"""Methods on points: which run, on what network, what is refused and how soon, and what commands make of them."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.datasets import make_blobs
from torch import Tensor
from torch.nn.functional import normalize

import eval
import explore
import predict
import train
from configs.load import ConfigError
from configs.schema import RuntimeSettings
from data.image_set import ImageSet
from deepclustering import DeepClustering
from deepclustering import load as load_model
from engine.checkpoint import read_checkpoint
from engine.fit import Fitted, fit
from engine.processes import launch
from engine.restore import restore
from evaluation.contingency import accuracy, contingency
from evaluation.evaluate import evaluate
from evaluation.predictions import predict as predictions_of
from methods.dipdeck import DipDECK
from methods.points import config_for_points
from methods.registry import METHOD_NAMES, METHODS
from methods.resolve import resolve_config
from models.autoencoder import ImageShape, ModelError, PointShape
from models.normalise import Normalise
from parts.given_points import GivenPoints, GivenPretrainSettings
from report import figures
from tests.pretend_accelerator import pretend
from tests.runs import call
from tests.small import small_config

DENSE = "model={name: dense, hidden: [16], latent: 3}"
OF_PICTURES = ("dec-da", "idec-da", "dcec")
"""By their definition."""
JOINT = [name for name in METHODS if name not in (*METHOD_NAMES, *OF_PICTURES, "n2d")]
RESTING = ("scan", "pace", "temi", "turtle")
SMALLER = {"turtle": ["cluster.gradients=null"], "pace": ["self_label=null"]}
"""What the small settings of all tests have for pictures alone."""


def blobs(n: int = 120, d: int = 6, seed: int = 0) -> ImageSet:
    """Three groups that lie apart, in different directions."""
    centres = 4 * np.eye(d)[:3] - 1
    values, groups = make_blobs(n, centers=centres, cluster_std=0.3, random_state=seed)
    images = torch.from_numpy(values).float()[:, :, None, None]
    return ImageSet("blobs", "train", images, torch.from_numpy(groups), ("a", "b", "c"))


def run(name: str, points: ImageSet, *settings: str, **more: object) -> Fitted:
    given = ["clusters=3", *SMALLER.get(name, []), *([] if name in RESTING else [DENSE]), *settings]
    if name in METHOD_NAMES:
        given.remove(DENSE)
    config, _ = config_for_points(small_config(name, settings=given), given)
    return fit(config, points, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", [*JOINT, "raw-kmeans", "raw-gmm", "pca-kmeans"])
def test_it_answers_for_points_and_is_restored(name: str) -> None:
    points = blobs()
    fitted = run(name, points)
    _, method = restore(fitted.checkpoint, "here")
    new = blobs(20, seed=1).images
    assert torch.equal(method.assign(points.images).labels, fitted.assignments.labels)
    assert torch.equal(method.assign(new).labels, fitted.method.assign(new).labels)
    predictions = predictions_of(fitted.method, points)
    assert predictions.reconstructions is None
    assert predictions.decoded_centroids is None
    assert set(evaluate(predictions)) >= {"acc", "silhouette"}


@pytest.mark.parametrize("name", ["raw-kmeans", "scan", "temi", "turtle", "pace"])
def test_groups_that_lie_apart_are_found(name: str) -> None:
    points = blobs()
    more = ["cluster.min_steps=250", "cluster.batch_size=60", "cluster.heads=5"] if name in RESTING else []
    more = [setting for setting in more if name != "turtle" or "heads" not in setting]
    labels = run(name, points, *more).assignments.labels
    assert points.labels is not None
    assert accuracy(contingency(points.labels, labels)) == 1.0


@pytest.mark.umap
def test_the_number_of_groups_is_found() -> None:
    points = blobs()
    given = ["pretrain={objective: given}", "cluster.start=6", "cluster.rounds=5", "cluster.min_steps=60"]
    fitted = run("deepdpm", points, *given)
    assert points.labels is not None
    assert fitted.method.clusters == 3
    assert accuracy(contingency(points.labels, fitted.assignments.labels)) == 1.0


def test_dipdeck_keeps_its_centres_as_points() -> None:
    points = blobs()
    method = run("dipdeck", points).method
    assert isinstance(method, DipDECK)
    assert all((centre == points.images).flatten(1).all(dim=1).any() for centre in method.table.living)


@pytest.mark.parametrize(
    ("name", "settings", "said"),
    [
        ("hog-kmeans", (), "oriented gradients needs pictures"),
        ("simclr-kmeans", (), "pairs of views"),
        ("frozen-kmeans", (), "the network torchvision:.* needs pictures"),
        ("dec", ("model={name: conv}",), r"convolutional network \(model.name=conv\) needs pictures"),
        ("dec", ("model={name: pooled}",), "model.name=pooled"),
        ("dec", ("model={name: vit}",), "model.name=vit"),
        ("temi", ("pretrain.objective=contrastive",), "pairs of views"),
        ("turtle", ("cluster.gradients={cells: 2}",), "oriented gradients needs pictures"),
    ],
)
def test_what_needs_pictures_is_refused(name: str, settings: tuple[str, ...], said: str) -> None:
    given = ["clusters=3", *settings]
    config, _ = config_for_points(small_config(name, settings=given), given)
    with pytest.raises(ModelError, match=said):
        fit(config, blobs())


def test_a_method_that_trains_its_encoder_needs_one() -> None:
    config = resolve_config("dec", None, ["pretrain={objective: given}", "runtime.device=cpu"], {})
    with pytest.raises(ModelError, match="points that are their own feature have none"):
        fit(config, blobs())


def test_augmentation_and_settings_of_other_networks_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"cluster.augmentation changes pictures.*Set cluster.augmentation to"):
        config_for_points(small_config("idec-da", settings=["pretrain.augmentation={}"]))
    with pytest.raises(ConfigError, match="dcec is IDEC on a convolutional network"):
        config_for_points(small_config("dcec"))
    given = ["model.layers=[{channels: 4, kernel: 3}]"]
    with pytest.raises(ConfigError, match="model.layers: no such setting"):
        config_for_points(small_config("dec", settings=given), given)


def test_what_is_changed_is_told_and_what_was_asked_for_stays() -> None:
    config, told = config_for_points(small_config("dec"))
    assert told is not None
    assert told.endswith("model.name=dense")
    assert config.model.hidden == (500, 500, 2000)  # type: ignore[attr-defined]
    asked = ["model.latent=4", "model.hidden=[8]"]
    config, _ = config_for_points(small_config("dec", settings=asked), asked)
    assert (config.model.latent, config.model.hidden) == (4, (8,))  # type: ignore[attr-defined]
    asked = ["model={name: conv}"]
    assert config_for_points(small_config("dec", settings=asked), asked)[1] is None  # refused later
    _, told = config_for_points(small_config("scan"))
    assert told is not None
    assert told.endswith("pretrain.objective=given, cluster.augmentation off, self_label=null")
    config, told = config_for_points(small_config("vade"))
    assert config.pretrain.likelihood == "gaussian"  # type: ignore[attr-defined]
    assert config_for_points(small_config("raw-kmeans")) == (small_config("raw-kmeans"), None)


def test_every_dimension_is_centred_and_one_number_divides_all() -> None:
    points = torch.tensor([[0.0, 10.0], [2.0, 30.0]])[:, :, None, None]
    normalise = Normalise(2)
    assert torch.equal(normalise(points), points)
    normalise.fit(points)
    assert normalise.mean.tolist() == [1.0, 20.0]
    # deviations are -1, -10, 1 and 10
    assert normalise.sd.tolist() == pytest.approx([50.5**0.5] * 2)
    assert normalise(points).flatten(1)[1].tolist() == pytest.approx([1 / 50.5**0.5, 10 / 50.5**0.5])
    normalise.fit(torch.full((3, 2, 1, 1), 7.0))
    assert normalise.sd.tolist() == [1.0, 1.0]


def feature(points: Tensor, **settings: object) -> Tensor:
    backbone = GivenPoints(GivenPretrainSettings(**settings), PointShape(*points.shape[1:]))  # type: ignore[arg-type]
    backbone.phases(points, launch(RuntimeSettings(device="cpu")))
    return backbone.encode(points)


def test_the_feature_of_a_point_is_its_own_numbers_scaled() -> None:
    points = torch.randn(30, 5, 1, 1, generator=torch.Generator().manual_seed(0)) + 2
    rows = points.flatten(1)
    assert torch.allclose(feature(points), normalize(rows, dim=1), atol=1e-6)
    two = feature(points, spaces=[2, 3])
    assert torch.allclose(two, torch.cat([normalize(rows[:, :2], dim=1), normalize(rows[:, 2:], dim=1)], 1), atol=1e-6)
    scaled = feature(points, scaling="sd")
    assert torch.allclose(scaled.mean(dim=0), torch.zeros(5), atol=1e-6)
    assert float(scaled.square().sum(dim=1).mean()) == pytest.approx(1)
    shares = torch.cdist(scaled, scaled)[~torch.eye(30, dtype=torch.bool)] / torch.pdist(rows).mean()
    kept = torch.cdist(rows, rows)[~torch.eye(30, dtype=torch.bool)] / torch.pdist(rows).mean()
    assert torch.allclose(shares / kept, (shares / kept)[0], rtol=1e-3)  # distances keep their proportions
    with pytest.raises(ModelError, match=r"\[2, 2\], 4 numbers in all, and a point has 5"):
        feature(points, spaces=[2, 2])
    with pytest.raises(ModelError, match="takes points as data"):
        GivenPoints(GivenPretrainSettings(), ImageShape(1, 8, 8))


def test_turtle_has_a_labelling_for_every_space() -> None:
    fitted = run("turtle", blobs(), "pretrain={objective: given, spaces: [2, 4]}")
    assert fitted.method.labelling.sizes == [2, 4]  # type: ignore[attr-defined]
    assert fitted.method.space == "feature (6-d)"


def test_turtle_sees_how_long_points_are_where_their_distances_count() -> None:
    """Groups that lie behind one another, as seen from the mean, differ by their lengths alone."""
    method = run("turtle", blobs(), "pretrain={objective: given, scaling: sd}").method
    (space,) = method.labelling.spaces(method.embed(blobs().images))  # type: ignore[attr-defined]
    rows = blobs().images.flatten(1).double()
    centred = rows - rows.mean(dim=0)
    assert torch.allclose(space.double(), centred / centred.square().mean().sqrt(), atol=1e-5)
    state = {
        name: value for name, value in method.state_dict().items() if "extra_state" not in name or "label" not in name
    }
    method.load_state_dict(state)  # as older versions wrote it: they saw directions alone
    (space,) = method.labelling.spaces(method.embed(blobs().images))  # type: ignore[attr-defined]
    assert torch.allclose(space.square().mean(dim=1), torch.ones(len(space)), atol=1e-5)


@pytest.mark.parametrize("name", ["idec", "scan", "turtle"])
def test_it_runs_on_an_accelerator(name: str) -> None:
    pretraining = ["pretrain.min_steps=8", "pretrain.batch_size=50"] if name == "idec" else []
    steps = ["cluster.min_steps=8", "cluster.batch_size=50", *pretraining]
    with pretend() as (accelerator, processes):
        fitted = run(name, blobs(), *steps, processes=processes)
        assert accelerator.captured >= 1
        assert 0 <= evaluate(predictions_of(fitted.method, blobs()))["acc"] <= 1  # type: ignore[operator]


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    points = blobs()
    path = tmp_path_factory.mktemp("points") / "points.npz"
    assert points.labels is not None
    names = np.array([f"pictures/{i}.png" for i in range(len(points))])
    np.savez(path, features=points.images.flatten(1).numpy(), labels=points.labels.numpy(), names=names)
    return path


@pytest.fixture(scope="module")
def checkpoint(file: Path) -> Path:
    out = file.parent / "run"
    done = call(train.app, "--method", "dec", "--data", str(file), "--clusters", "3", "--device", "cpu", "--no-share",
                "--out", str(out), "--set", "model.hidden=[16]", "--set", "pretrain.min_steps=20",
                "--set", "cluster.max_epochs=2", "--set", "cluster.min_steps=0")  # fmt: skip
    assert done.exit_code == 0, done.stderr
    assert "read 120 points of 6 numbers" in done.stderr
    assert "the data are points, so that pictures' settings were changed: model.name=dense" in done.stderr
    assert "TensorBoard" not in done.stderr
    assert "--gallery" not in done.stderr
    return out / "checkpoint.pt"


def test_commands_answer_for_points_and_refuse_to_show_them(file: Path, checkpoint: Path, tmp_path: Path) -> None:
    done = call(predict.app, str(checkpoint), "--gallery", str(tmp_path / "g"), "--sort-into", str(tmp_path / "s"))
    assert done.exit_code == 1
    assert "--gallery shows pictures, and the data are points" in done.stderr
    assert "--sort-into sorts pictures, and the data are points" in done.stderr
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    assert [row["file"] for row in rows] == [f"pictures/{i}.png" for i in range(120)]
    assignments = read_checkpoint(checkpoint).assignments
    assert assignments is not None
    assert [int(row["cluster"]) for row in rows] == assignments.tolist()
    done = call(explore.app, str(file))
    assert done.exit_code == 2
    assert "explore.py looks at pictures" in done.stderr


def test_other_points_are_scored_and_others_of_another_size_refused(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = {name: figures.FIGURES[name] for name in ("confusion", "samples", "reconstructions", "dendrogram")}
    monkeypatch.setattr(figures, "FIGURES", few)  # without maps, which take long
    new = blobs(30, seed=1).images.flatten(1).numpy()
    np.save(tmp_path / "new.npy", new)
    np.save(tmp_path / "wide.npy", new.repeat(2, axis=1))
    folder = tmp_path / "figures"
    done = call(eval.app, str(checkpoint), "--data", str(tmp_path / "new.npy"), "--figures", str(folder))
    assert done.exit_code == 0, done.stderr
    assert "figures that show pictures are left out" in done.stderr
    assert {path.name for path in folder.rglob("*.png")} == {"learning_curves.png"}  # new.npy has no labels
    done = call(eval.app, str(checkpoint), "--data", str(tmp_path / "wide.npy"))
    assert done.exit_code == 2
    assert "has points of 12 numbers" in done.stderr
    assert "was trained on points of 6 numbers" in done.stderr
    done = call(eval.app, str(checkpoint), "--data", "digits", "--split", "test")
    assert "has images" in done.stderr


def test_points_from_python(tmp_path: Path) -> None:
    points = blobs()
    X = points.images.flatten(1).numpy()
    model = DeepClustering("raw-kmeans", 3, points=True, device="cpu", settings={"cluster.redos": 2}).fit(X)
    assert model.predict(X).tolist() == model.labels_.tolist()
    assert np.allclose(model.transform(X), X)
    assert model.score_table(X, points.labels.numpy())["acc"] == 1.0  # type: ignore[union-attr]
    model.save(tmp_path / "m.pt")
    again = load_model(tmp_path / "m.pt")
    assert again.points
    assert again.predict(X).tolist() == model.labels_.tolist()
    deep = DeepClustering("temi", 3, points=True, device="cpu",
                          settings={"cluster.epochs": 1, "cluster.min_steps": 0}).fit(X)  # fmt: skip
    assert deep.config_.pretrain.objective == "given"
    with pytest.raises(ValueError, match="NaN"):
        model.fit(np.array([[1.0, np.nan], [0.0, 1.0]]))
