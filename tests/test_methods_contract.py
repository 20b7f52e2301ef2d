"""What every method promises, asked of every entry of METHODS."""

from __future__ import annotations

import inspect
import math
from pathlib import Path

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from configs.schema import RuntimeSettings
from data.image_set import ImageSet
from data.sources import load
from engine.processes import launch
from methods import n2d
from methods.base import CentroidMethod, EmbeddingMethod, Generative, Method
from methods.joint import JointMethod
from methods.registry import METHOD_NAMES, METHODS
from models.autoencoder import ImageShape
from tests.small import TESTED, run_config, small_config

DRAWN = {"ae", "vae", "simclr", "umap"}
"""Parts of two-stage methods whose embedding depends on the seed. That of every joint method does."""


def parts_of(name: str) -> list[str]:
    return (n2d.PARTS if name == "n2d" else name).split("-")


def marked(name: str) -> object:
    return pytest.param(name, marks=pytest.mark.umap) if "umap" in parts_of(name) else name


# All tests of one method after another: it is fitted when the first of them asks for it.
pytestmark = pytest.mark.parametrize("name", [marked(name) for name in TESTED], scope="module")


@pytest.fixture(scope="module")
def digits() -> ImageSet:
    return load("digits").subset(torch.arange(200))


def fitted(name: str, images: ImageSet, seed: int = 0) -> Method:
    config = small_config(name, seed)
    return run_config(config, images.images, launch(config.runtime)).method


@pytest.fixture(scope="module")
def method(name: str, digits: ImageSet) -> Method:
    return fitted(name, digits)


def test_it_keeps_the_protocol(name: str, method: Method) -> None:
    assert isinstance(method, Method)


def test_shapes_and_probabilities(name: str, method: Method, digits: ImageSet) -> None:
    z = method.embed(digits.images)
    assignments = method.assign(digits.images)
    k = method.clusters
    assert z.shape[0] == len(digits)
    assert z.dtype == torch.float32
    assert bool(z.isfinite().all())
    assert assignments.labels.shape == (len(digits),)
    assert assignments.labels.dtype == torch.int64
    assert 0 <= int(assignments.labels.min()) <= int(assignments.labels.max()) < k
    if assignments.probabilities is not None:
        assert assignments.probabilities.shape == (len(digits), k)
        assert torch.allclose(assignments.probabilities.sum(dim=1), torch.ones(len(digits)), atol=1e-5)
        assert torch.equal(assignments.probabilities.argmax(dim=1), assignments.labels)


def test_same_seed_same_labels(name: str, method: Method, digits: ImageSet) -> None:
    again = fitted(name, digits)
    assert torch.equal(again.assign(digits.images).labels, method.assign(digits.images).labels)
    assert torch.equal(again.embed(digits.images), method.embed(digits.images))


def test_another_seed_another_embedding_where_it_is_drawn(name: str, method: Method, digits: ImageSet) -> None:
    other = fitted(name, digits, seed=1)
    is_drawn = name not in METHOD_NAMES or bool(DRAWN & set(name.split("-")))
    assert is_drawn is not torch.equal(other.embed(digits.images), method.embed(digits.images))


def test_saved_and_loaded_it_gives_the_same(name: str, method: Method, digits: ImageSet, tmp_path: Path) -> None:
    torch.save(method.state_dict(), tmp_path / "state.pt")
    fresh = METHODS[name].build(small_config(name), ImageShape(*digits.images.shape[1:]))
    fresh.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    fresh.eval()  # as engine/restore.py does: batch-norm takes what it has learned
    assert torch.equal(fresh.embed(digits.images), method.embed(digits.images))
    assert torch.equal(fresh.assign(digits.images).labels, method.assign(digits.images).labels)


def test_what_a_phase_keeps_is_the_methods_own(name: str, method: Method, digits: ImageSet) -> None:
    """A checkpoint holds the method alone: a run that goes on would lose what an objective keeps for itself."""
    own = {value.data_ptr() for value in method.state_dict().values() if isinstance(value, torch.Tensor)}
    for phase in method.phases(digits.images, launch(RuntimeSettings(device="cpu"))):
        kept = {key: value for key, value in phase.module.state_dict().items() if isinstance(value, torch.Tensor)}
        assert [key for key, value in kept.items() if value.data_ptr() not in own] == [], phase.name


@settings(max_examples=4, deadline=None)
@given(cuts=st.lists(st.integers(1, 199), min_size=1, max_size=6, unique=True))
@example(cuts=[1])
def test_one_batch_or_many(name: str, method: Method, digits: ImageSet, cuts: list[int]) -> None:
    images = digits.images
    parts = [method.assign(part).labels for part in images.tensor_split(sorted(cuts))]
    # Matrix products of other sizes round differently in the last bit; labels must not notice.
    assert torch.equal(torch.cat(parts), method.assign(images).labels)


def test_training_is_given_no_labels(name: str) -> None:
    """Phases take images and what computes; nothing of a method's own signature could carry a label."""
    assert list(inspect.signature(METHODS[name].build).parameters) == ["config", "shape"]
    fresh = METHODS[name].build(small_config(name), ImageShape(1, 8, 8))
    assert list(inspect.signature(fresh.phases).parameters) == ["images", "compute"]


def test_shown_images_have_the_images_shape(name: str, method: Method, digits: ImageSet) -> None:
    k = method.clusters
    if isinstance(method, Generative):
        shown, centroids = method.reconstruct(digits.images), method.decoded_centroids()
        assert shown is None or shown.shape == digits.images.shape
        assert centroids is None or centroids.shape == (k, *digits.images.shape[1:])
        if isinstance(method, JointMethod):
            way_back = method.backbone.has_decoder and isinstance(method, CentroidMethod)
        else:
            way_back = not {"umap", "hog", "simclr", "frozen"} & set(parts_of(name))
        assert (centroids is not None) == way_back
    if isinstance(method, EmbeddingMethod):
        z = method.embed(digits.images)
        assert method.dimensions == z.shape[1]
        assert torch.equal(method.assign_embedded(z).labels, method.assign(digits.images).labels)
        assert all(math.isfinite(value) for value in method.criteria(z).values())
    if isinstance(method, CentroidMethod):
        assert method.centroid_positions().shape == (k, method.embed(digits.images[:1]).shape[1])
