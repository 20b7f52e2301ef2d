"""Features that a person has: files of every kind, and a run on them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow
import pytest
import torch
from pyarrow import parquet
from torch.nn.functional import normalize

from data.feature_files import read_features
from data.image_set import DataError, ImageSet
from data.names import Names
from data.sources import load
from deepclustering import DeepClustering
from engine.fit import Fitted, fit
from engine.restore import restore
from evaluation.predictions import EvaluationError
from methods.base import OnOutsideData
from methods.resolve import resolve_config
from models.autoencoder import ModelError
from report.onnx_file import write_onnx
from tests.small import small_config

FEATURES = np.random.default_rng(0).normal(size=(60, 4))


def written(folder: Path, kind: str) -> Path:
    file = folder / f"features.{kind.partition(' ')[2] or kind}"
    if kind == "npy":
        np.save(file, FEATURES)
    elif kind == "npz":
        np.savez(file, features=FEATURES, labels=np.arange(60))
    elif kind == "lists parquet":
        parquet.write_table(pyarrow.table({"id": list(range(60)), "features": FEATURES.tolist()}), file)
    else:
        parquet.write_table(pyarrow.table({f"f{i}": FEATURES[:, i] for i in range(4)}), file)
    return file


@pytest.mark.parametrize("kind", ["npy", "npz", "lists parquet", "columns parquet"])
def test_files_of_every_kind_hold_the_same(kind: str, tmp_path: Path) -> None:
    assert torch.equal(read_features(written(tmp_path, kind)).features, torch.from_numpy(FEATURES).float())


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (np.zeros(5), r"of shape \(5,\)"),
        (np.array([["a", "b"]]), "holds <U1"),
        (np.array([[1.0, np.nan]]), "NaN, infinite or too large"),
        (np.array([[object()]]), "cannot be read"),
        (None, "there is no file"),
    ],
)
def test_what_holds_no_features_is_refused(content: np.ndarray | None, said: str, tmp_path: Path) -> None:
    if content is not None:
        np.save(tmp_path / "f.npy", content)
    with pytest.raises(DataError, match=said):
        read_features(tmp_path / "f.npy")


@pytest.mark.parametrize("column", ["class", "breed", "Target", "Unnamed: 0"])
def test_classes_and_numbers_of_rows_are_no_features(column: str, tmp_path: Path) -> None:
    table = {"file": [f"{i}.png" for i in range(60)], column: np.arange(60), "a": FEATURES[:, 0], "b": FEATURES[:, 1]}
    parquet.write_table(pyarrow.table(table), tmp_path / "f.parquet")
    found = read_features(tmp_path / "f.parquet")
    assert torch.equal(found.features, torch.from_numpy(FEATURES[:, :2]).float())
    assert found.names == table["file"]


@pytest.mark.parametrize("column", ["label", "class_id"])
def test_classes_as_fractions_are_no_features(column: str, tmp_path: Path) -> None:
    parquet.write_table(pyarrow.table({column: np.arange(60) / 1, "a": FEATURES[:, 0]}), tmp_path / "f.parquet")
    assert torch.equal(read_features(tmp_path / "f.parquet").features, torch.from_numpy(FEATURES[:, :1]).float())


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"features": FEATURES, "names": np.array(["a"] * 60, dtype=object)}, r"`names` .* with .astype\(str\)"),
        ({"codes": FEATURES}, "has `codes`. Features are"),
        ({"images": np.zeros((60, 2, 2)), "embeddings": FEATURES, "y": np.arange(60)}, None),
    ],
)
def test_arrays_are_told_apart_by_their_names(arrays: dict[str, np.ndarray], said: str | None, tmp_path: Path) -> None:
    np.savez(tmp_path / "f.npz", **arrays)  # type: ignore[arg-type]
    if said is None:
        assert torch.equal(read_features(tmp_path / "f.npz").features, torch.from_numpy(FEATURES).float())
        return
    with pytest.raises(DataError, match=said):
        read_features(tmp_path / "f.npz")


def test_lists_of_different_lengths_and_other_files_are_said(tmp_path: Path) -> None:
    parquet.write_table(pyarrow.table({"features": [[1.0, 2.0], [3.0]]}), tmp_path / "f.parquet")
    (tmp_path / "f.csv").write_text("1,2\n3,4\n")
    with pytest.raises(DataError, match="lists of different lengths"):
        read_features(tmp_path / "f.parquet")
    with pytest.raises(DataError, match="ends in '.csv'. Features are"):
        read_features(tmp_path / "f.csv")


@pytest.fixture(scope="module")
def digits() -> ImageSet:
    return load("digits").subset(torch.arange(60))


def run(file: Path, images: ImageSet, *more: str) -> Fitted:
    settings = [f"representation.features.file={file}", "clusters=3", "runtime.device=cpu", *more]
    return fit(resolve_config("features-kmeans", None, settings, {}), images)


def test_the_clusters_are_those_of_the_features(digits: ImageSet, tmp_path: Path) -> None:
    groups = torch.arange(60) % 3
    np.save(tmp_path / "f.npy", 10 * np.eye(3)[groups.numpy()] + 0.1 * FEATURES[:, :3])
    fitted = run(tmp_path / "f.npy", digits)
    labels = fitted.assignments.labels
    assert len({(int(a), int(b)) for a, b in zip(groups, labels, strict=True)}) == 3
    # In any order, and without the file.
    (tmp_path / "f.npy").unlink()
    _, method = restore(fitted.checkpoint, "here")
    turned = torch.arange(59, -1, -1)
    assert torch.equal(method.assign(digits.images[turned]).labels, labels[turned])
    with pytest.raises(ModelError, match="1 of 2 images are none of those"):
        method.assign(torch.cat([digits.images[:1], 255 - digits.images[:1]]))


def test_a_file_of_another_length_is_refused(digits: ImageSet, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="60 rows for 59 training images"):
        run(written(tmp_path, "npy"), digits.subset(torch.arange(59)))


def named(images: ImageSet, names: list[str]) -> ImageSet:
    return replace(images, names=Names.of(names))


def test_rows_are_matched_by_names_in_any_order_and_to_any_part(digits: ImageSet, tmp_path: Path) -> None:
    groups = np.arange(60) % 3
    features = 10 * np.eye(3)[groups] + 0.1 * FEATURES[:, :3]
    names = np.array([f"cats/{i:02d}.png" for i in range(60)])
    mixed = np.random.default_rng(1).permutation(60)
    np.savez(tmp_path / "f.npz", features=features[mixed], names=names[mixed], labels=np.zeros(60))
    table = {f"f{i}": features[mixed][:, i] for i in range(3)} | {"file": names[mixed], "label": mixed}
    parquet.write_table(pyarrow.table(table), tmp_path / "f.parquet")
    ends = [name.partition("/")[2] for name in names.tolist()]
    np.savez(tmp_path / "ends.npz", features=features[mixed], names=np.array(ends)[mixed])
    few = named(digits, names.tolist()).subset(torch.arange(7, 37))
    for file in ("f.npz", "f.parquet", "ends.npz"):
        fitted = run(tmp_path / file, few)
        places = fitted.method.embed(few.images)
        assert torch.allclose(places, torch.from_numpy(features[7:37]).float())


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["a.png", "b.png", "x.png"], r"1 of 3 images have no row in .*: cats/c.png. Names there are such as a.png"),
        (["a.png", "a.png", "c.png"], "several rows of the name a.png"),
        (["cats/a.png", "dogs/b.png", "dogs/a.png"], "2 of 3 images have no row in .*: cats/b.png, cats/c.png"),
        (["a.png", "b.png"], "3 points but 2 names"),
    ],
)
def test_names_that_are_missing_or_stand_for_several_are_said(
    names: list[str], said: str, digits: ImageSet, tmp_path: Path
) -> None:
    np.savez(tmp_path / "f.npz", features=FEATURES[:3], names=np.array(names))
    images = named(digits.subset(torch.arange(3)), ["cats/a.png", "cats/b.png", "cats/c.png"])
    with pytest.raises((DataError, ModelError), match=said):
        run(tmp_path / "f.npz", images)


def test_several_files_stand_side_by_side_each_of_length_1(digits: ImageSet, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", FEATURES)
    np.save(tmp_path / "b.npy", 100 * FEATURES[:, :2])
    fitted = run(tmp_path / "a.npy", digits, f"representation.features.beside=[{tmp_path / 'b.npy'}]")
    places = fitted.method.embed(digits.images)
    one, two = torch.from_numpy(FEATURES).float(), torch.from_numpy(FEATURES[:, :2]).float()
    assert torch.allclose(places, torch.cat([normalize(one, dim=1), normalize(two, dim=1)], dim=1), atol=1e-6)


def test_joint_methods_stand_on_them(digits: ImageSet, tmp_path: Path) -> None:
    """Rows are matched by names; every file is a space of its own; without the file's rows nothing is known."""
    groups = torch.arange(60) % 3
    order = np.random.default_rng(1).permutation(60)
    names = [f"cats/{i:02d}.png" for i in range(60)]
    first = 10 * np.eye(3)[groups] + 0.1 * FEATURES[:, :3]
    np.savez(tmp_path / "a.npz", features=first[order], names=np.array(names)[order])
    np.save(tmp_path / "b.npy", first[:, :2] + 3)
    pretrain = f"pretrain={{objective: features, file: {tmp_path / 'a.npz'}, beside: [{tmp_path / 'b.npy'}]}}"
    fitted = fit(
        small_config("turtle", settings=[pretrain, "clusters=3", "cluster.gradients=~", "cluster.min_steps=60"]),
        named(digits, names),
    )
    assert fitted.method.backbone.spaces == (3, 2)  # type: ignore[attr-defined]
    wanted = [normalize(torch.from_numpy(part).float(), dim=1) for part in (first, first[:, :2] + 3)]
    assert torch.allclose(fitted.method.embed(digits.images), torch.cat(wanted, dim=1), atol=1e-6)
    assert len({(int(a), int(b)) for a, b in zip(groups, fitted.assignments.labels, strict=True)}) == 3
    assert "features from a.npz, b.npy, of unknown origin" in fitted.method.notes
    wrong = pretrain.replace("}", ", spaces: [3, 4]}")
    with pytest.raises(ModelError, match=r"of \[3, 2\] dimensions, and pretrain.spaces says \[3, 4\]"):
        fit(small_config("turtle", settings=[wrong, "clusters=3"]), named(digits, names))
    for file in ("a.npz", "b.npy"):  # a checkpoint needs them no more
        (tmp_path / file).rename(tmp_path / f"gone-{file}")
    _, method = restore(fitted.checkpoint, "here")
    for file in ("a.npz", "b.npy"):
        (tmp_path / f"gone-{file}").rename(tmp_path / file)
    assert torch.equal(method.assign(digits.images[7:9]).labels, fitted.assignments.labels[7:9])
    with pytest.raises(EvaluationError, match="stands on features from a file, which no network here computes"):
        write_onnx(tmp_path / "network.onnx", method, digits)
    with pytest.raises(ModelError, match="this method trains its encoder on, and features from a file have none"):
        fit(small_config("dec", settings=[pretrain, "clusters=3"]), named(digits, names))


def test_the_estimator_knows_its_answers_and_refuses_other_images(digits: ImageSet, tmp_path: Path) -> None:
    """Whether there are probabilities, and how many features, is asked of no image: features know their own alone."""
    np.save(tmp_path / "f.npy", FEATURES)
    settings = {"representation.features.file": str(tmp_path / "f.npy")}
    images = digits.images.numpy()
    model = DeepClustering("features-gmm", 3, settings=settings).fit(images)
    assert model.predict_proba(images).shape == (60, 3)
    assert len(model.get_feature_names_out()) == 4
    for ask in (model.predict, model.predict_proba, model.transform, lambda new: model.score_table(new, [0] * 60)):
        with pytest.raises(ValueError, match="60 of 60 images are none of those"):
            ask(255 - images)


def test_rows_stand_apart_from_those_that_saw_the_images_alone(digits: ImageSet, tmp_path: Path) -> None:
    method = run(written(tmp_path, "npy"), digits).method
    assert isinstance(method, OnOutsideData)
    assert method.pretrained_on == "unknown data"
