"""The estimator: what scikit-learn asks of one, images of every layout, and the same bits as the command."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils.estimator_checks import parametrize_with_checks

import eval
import train
from data.sources import load as load_images
from deepclustering import PACKAGES, DeepClustering, load
from engine.checkpoint import read_checkpoint
from evaluation.agreement import agreement
from evaluation.contingency import contingency
from report.table import render
from tests.runs import ROOT, SMALL, call, small_train

IMAGES = load_images("digits").images[:300, 0].numpy()
QUICK = {"cluster.redos": 2}


def settings() -> dict[str, str]:
    return dict(setting.split("=", 1) for setting in SMALL)


@pytest.fixture(scope="module")
def kmeans() -> DeepClustering:
    return DeepClustering("raw-kmeans", settings=QUICK).fit(IMAGES)


ONE_CLUSTER = "asks for one cluster; methods here find two or more"
EXPECTED = dict.fromkeys(
    (
        "check_dont_overwrite_parameters",
        "check_methods_subset_invariance",  # asked below, of three clusters
        "check_fit2d_1sample",
        "check_fit2d_1feature",
        "check_fit2d_predict1d",
    ),
    ONE_CLUSTER,
)


@parametrize_with_checks(
    [
        DeepClustering("raw-kmeans", n_clusters=3, settings=QUICK, value_range=None, device="cpu"),
        DeepClustering("raw-kmeans", n_clusters=3, settings=QUICK, points=True, device="cpu"),
    ],
    expected_failed_checks=lambda estimator: EXPECTED,
)
def test_it_is_an_estimator(estimator, check) -> None:
    check(estimator)


def test_the_command_and_the_estimator_end_with_the_same_bits(trained: Path) -> None:
    found = read_checkpoint(trained)
    by_path = DeepClustering("dec", settings=settings(), device="cpu").fit("digits")
    by_array = DeepClustering("dec", settings=settings(), device="cpu").fit(load_images("digits").images)
    for model in (by_path, by_array):
        assert found.assignments is not None
        assert np.array_equal(model.labels_, found.assignments.numpy())
        state = model.method_.state_dict()
        assert all(torch.equal(value, state[name]) for name, value in found.method.items() if torch.is_tensor(value))
        assert np.array_equal(model.predict(load_images("digits").images), model.labels_)
        assert model.probabilities_ is not None
        assert np.array_equal(model.probabilities_.argmax(axis=1), model.labels_)


def test_what_train_wrote_is_loaded_and_what_is_saved_too(trained: Path, tmp_path: Path) -> None:
    images = load_images("digits").images
    model = load(trained)
    assert np.array_equal(model.predict(images), model.labels_)
    assert np.allclose(model.predict_proba(images).sum(axis=1), 1, atol=1e-5)
    model.save(tmp_path / "copy.pt")
    assert np.array_equal(load(tmp_path / "copy.pt").transform(images[:50]), model.transform(images[:50]))


def test_every_layout_is_the_same_images(kmeans: DeepClustering) -> None:
    z = kmeans.transform(IMAGES)
    assert z.shape == (300, 64)
    layouts = [
        IMAGES[:, None],
        IMAGES[..., None],
        torch.from_numpy(IMAGES),
        (IMAGES / 255).astype(np.float32),
        IMAGES / 255,
    ]
    assert all(np.array_equal(kmeans.transform(layout), z) for layout in layouts)
    table = DeepClustering("raw-kmeans", settings=QUICK, image_shape=(8, 8)).fit(IMAGES.reshape(300, -1))
    assert np.array_equal(table.labels_, kmeans.labels_)
    shifted = DeepClustering("raw-kmeans", settings=QUICK, value_range=(-1, 1)).fit(IMAGES / 127.5 - 1)
    assert np.array_equal(shifted.labels_, kmeans.labels_)


def test_a_part_is_answered_as_in_the_whole(kmeans: DeepClustering) -> None:
    parts = [kmeans.predict(IMAGES[at : at + 7]) for at in range(0, 300, 7)]
    assert np.array_equal(np.concatenate(parts), kmeans.predict(IMAGES))


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (IMAGES.astype(int), "astype"),
        (IMAGES / 100, "floats must lie in 0 to 1"),
        (IMAGES[:, :7], "expecting 64 features"),
        (IMAGES.reshape(300, 4, 16), "the model was fitted to"),
        (np.full((3, 8, 8), np.nan), "NaN"),
        ("no/such/folder", "neither a data set's name nor a path"),
    ],
)
def test_images_that_cannot_be_are_refused(kmeans: DeepClustering, images: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        kmeans.predict(images)


def test_settings_and_methods_that_are_not_there_are_said() -> None:
    for model in (DeepClustering("dek"), DeepClustering("dec", settings={"pretrain.epoch": 1})):
        with pytest.raises(ValueError, match="Did you mean"):
            model.fit(IMAGES)
    with pytest.raises(ValueError, match="400 clusters for 300 images"):
        DeepClustering("raw-kmeans", 400).fit(IMAGES)
    with pytest.raises(ValueError, match="image_shape"):
        DeepClustering("raw-kmeans", image_shape=(9, 9)).fit(IMAGES.reshape(300, -1))


def test_scores_are_those_of_the_labels(kmeans: DeepClustering) -> None:
    classes = load_images("digits").labels[:300]
    expected = agreement(contingency(classes, torch.from_numpy(kmeans.labels_)))
    for labels in (classes, [f"class {label}" for label in classes.tolist()]):
        assert kmeans.score_table(IMAGES, labels)["acc"] == pytest.approx(expected["acc"])
    assert kmeans.score_table(IMAGES)["acc"] is None
    with pytest.raises(ValueError, match="300 images and 3 labels"):
        kmeans.score_table(IMAGES, [1, 2, 3])


def test_the_table_is_the_one_of_the_command(trained: Path) -> None:
    printed = call(eval.app, str(trained), "--device", "cpu")
    (row,) = (json.loads(line) for line in call(eval.app, str(trained), "--format", "json").stdout.splitlines())
    table = load(trained).score_table("digits")
    assert str(table) == printed.stdout.rstrip("\n")
    assert {**table, "checkpoint": str(trained)} == row
    assert table["acc"] > 0.2
    assert (table["data"], table["split"], table["protocol"]) == ("digits", "train", "transductive")
    assert max(map(len, repr(table).splitlines())) <= 80
    assert render(table.rows, "csv").startswith("title,method,")


def test_the_table_says_which_images_are_new(kmeans: DeepClustering) -> None:
    seen, part, new = (kmeans.score_table(images) for images in (IMAGES, IMAGES[:200], 1 - IMAGES[:200]))
    assert (seen["split"], seen["protocol"], len(seen.rows)) == ("train", "transductive", 1)
    assert (part["split"], part["protocol"], part["n"]) == ("train", "transductive", 200)
    assert (new["split"], new["protocol"], new["n"]) == ("new", "held out", 200)
    some = kmeans.score_table(np.concatenate([IMAGES[:200], 1 - IMAGES[:200]]))
    assert (some["split"], some["protocol"]) == ("new", "mixed")
    assert "200 of the 400 images were fitted to" in some["notes"]


@pytest.fixture
def every_warning() -> Iterator[None]:
    """Torch says some things once a process; here every time, and warnings are errors."""
    torch.set_warn_always(True)
    yield
    torch.set_warn_always(False)


@pytest.mark.usefixtures("every_warning")
def test_images_that_may_only_be_read_are_neither_copied_nor_warned_of(kmeans: DeepClustering, tmp_path: Path) -> None:
    np.save(tmp_path / "images.npy", IMAGES)
    mapped = np.load(tmp_path / "images.npy", mmap_mode="r")
    frozen = IMAGES.copy()
    frozen.setflags(write=False)
    for images in (mapped, frozen):
        assert np.array_equal(kmeans.predict(images), kmeans.labels_)
        assert np.array_equal(kmeans.predict((images / 255).astype(np.float32)), kmeans.labels_)
        tensor = kmeans._image_set(images, kmeans.config_, reset=False).images
        assert tensor.data_ptr() == images.ctypes.data
    assert np.array_equal(clone(kmeans).fit(mapped).labels_, kmeans.labels_)


def test_it_leaves_the_callers_random_numbers_alone() -> None:
    torch.manual_seed(0)
    np.random.seed(0)  # noqa: NPY002
    expected = torch.rand(3), np.random.rand(3)  # noqa: NPY002
    torch.manual_seed(0)
    np.random.seed(0)  # noqa: NPY002
    DeepClustering("raw-kmeans", settings=QUICK).fit(IMAGES)
    assert torch.equal(torch.rand(3), expected[0])
    assert np.array_equal(np.random.rand(3), expected[1])  # noqa: NPY002


def test_pipelines_clones_and_what_is_not_there(kmeans: DeepClustering) -> None:
    inverted = make_pipeline(FunctionTransformer(lambda images: 255 - images), clone(kmeans)).fit(IMAGES)
    assert inverted.predict(IMAGES).shape == (300,)
    assert not hasattr(kmeans, "predict_proba")
    assert kmeans.probabilities_ is None
    with pytest.raises(NotFittedError):
        clone(kmeans).predict(IMAGES)


def test_from_anywhere_and_beside_other_packages(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "__init__.py").write_text("MINE = True")
    code = (
        f"import importlib.util, sys; before = list(sys.path)\n"
        f"spec = importlib.util.spec_from_file_location('deepclustering', {str(ROOT / 'deepclustering.py')!r})\n"
        "module = importlib.util.module_from_spec(spec); sys.modules['deepclustering'] = module\n"
        "first = __import__(sys.argv[1])\n"
        "try: spec.loader.exec_module(module)\n"
        "except ImportError as error: print(error)\n"
        "else: print(sys.path == before, 'train' in sys.modules, module.DeepClustering)\n"
    )
    for name, expected in (("math", "True False"), ("data", "a package called 'data', and another one")):
        done = subprocess.run(
            [sys.executable, "-c", code, name], cwd=tmp_path, capture_output=True, text=True, check=True
        )
        assert expected in done.stdout
    assert {"data", "models", "methods"} <= set(PACKAGES)


def test_the_command_still_says_what_it_did(tmp_path: Path) -> None:
    done = call(train.app, *small_train(tmp_path / "run", "--clusters", "9999")[2:])
    assert done.exit_code == 2
    assert not (tmp_path / "run" / "config.yaml").exists()
    assert not (tmp_path / "run" / "tb").exists()
