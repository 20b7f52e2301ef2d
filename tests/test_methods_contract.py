"""What every method promises, asked of every entry of METHODS."""

from __future__ import annotations

import inspect
import math
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from clusterers.build import CLUSTERERS
from configs.schema import RunConfig
from data.image_set import ImageSet
from data.sources import load
from engine.loop import Loop
from engine.processes import launch
from engine.progress import Display
from engine.randomness import seed_all
from methods.base import CentroidMethod, EmbeddingMethod, Generative, Method
from methods.registry import METHODS
from methods.resolve import resolve_config
from methods.two_stage import METHOD_NAMES, NAMES, PUBLISHED
from models.autoencoder import ImageShape

# What makes each method small enough for a test; a two-stage method takes what its parts do.
DEC_SMALL = [
    "pretrain.epochs=2",
    "pretrain.min_steps=0",
    "cluster.min_steps=0",
    "initialise.redos=2",
    "cluster.max_epochs=2",
    "cluster.update_interval=5",
]
SMALL: dict[str, list[str]] = {
    **dict.fromkeys(("dec", "idec", "dcec", "vae-dec", "dec-da", "idec-da"), DEC_SMALL),
    **dict.fromkeys(("dcn", "dkm", "dekm"), DEC_SMALL),
    "scan": [
        "pretrain.epochs=2",
        "pretrain.min_steps=0",
        "cluster.heads=3",
        "cluster.epochs=2",
        "cluster.min_steps=0",
        "self_label={min_steps: 0, max_epochs: 1}",
    ],
    "simclr": ["representation.simclr.pretrain.epochs=2", "representation.simclr.pretrain.min_steps=0"],
    "vade": [
        "pretrain.epochs=2",
        "pretrain.min_steps=0",
        "cluster.min_steps=0",
        "initialise.redos=1",
        "cluster.max_epochs=2",
        "cluster.update_interval=2",
    ],
    "ae": ["representation.autoencoder.pretrain.epochs=2", "representation.autoencoder.pretrain.min_steps=0"],
    "vae": ["representation.vae.pretrain.epochs=2", "representation.vae.pretrain.min_steps=0"],
    "umap": ["representation.umap.epochs=20", "representation.umap.components=3"],
    "n2d": [
        "representation.autoencoder.pretrain.epochs=2",
        "representation.autoencoder.pretrain.min_steps=0",
        "representation.umap.epochs=20",
        "cluster.floor=1e-3",
    ],
    "kmeans": ["cluster.redos=2"],
    "gmm": ["cluster.floor=1e-3"],
    "agglomerative": ["cluster.subset=300"],
    "spectral": ["cluster.subset=300", "cluster.redos=2"],
    "dbscan": ["cluster.subset=300"],
    "hdbscan": ["cluster.subset=300"],
    "som": ["cluster.passes=5"],
}

# Every representation and every clusterer, and the joint methods. All pairs would only repeat them.
TESTED = [
    *(name for name in METHODS if name not in METHOD_NAMES),
    *(f"{representation}-kmeans" for representation in NAMES),
    *(f"raw-{clusterer}" for clusterer in CLUSTERERS if clusterer != "kmeans"),
    "ae-umap-gmm",
]
DRAWN = {"ae", "vae", "simclr", "umap"}
"""Parts of two-stage methods whose embedding depends on the seed. That of every joint method does."""

pytestmark = pytest.mark.parametrize("name", TESTED)


@pytest.fixture(scope="module")
def digits() -> ImageSet:
    return load("digits").subset(torch.arange(600))


def small_config(name: str, seed: int = 0) -> RunConfig:
    small = [setting for part in ([name] if name in SMALL else name.split("-")) for setting in SMALL.get(part, [])]
    return resolve_config(name, None, [*small, "data.name=digits", f"seed={seed}", "runtime.device=cpu"], {})


def fitted(name: str, images: ImageSet, seed: int = 0) -> Method:
    config = small_config(name, seed)
    seed_all(config.seed)
    method = METHODS[name].build(config, ImageShape(*images.images.shape[1:]))
    processes = launch(config.runtime)
    phases = method.phases(images.images, processes)
    keys = [phase.name for phase in phases]
    Loop(method, images.images, keys, config, processes, lambda *_: None, Display(quiet=True)).run(phases)
    return method


@pytest.fixture(scope="module")
def methods(digits: ImageSet) -> dict[str, Method]:
    return {name: fitted(name, digits) for name in TESTED}


def test_it_keeps_the_protocol(name: str, methods: dict[str, Method]) -> None:
    assert isinstance(methods[name], Method)


def test_shapes_and_probabilities(name: str, methods: dict[str, Method], digits: ImageSet) -> None:
    z = methods[name].embed(digits.images)
    assignments = methods[name].assign(digits.images)
    k = methods[name].clusters
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


def test_same_seed_same_labels(name: str, methods: dict[str, Method], digits: ImageSet) -> None:
    again = fitted(name, digits)
    assert torch.equal(again.assign(digits.images).labels, methods[name].assign(digits.images).labels)
    assert torch.equal(again.embed(digits.images), methods[name].embed(digits.images))


def test_another_seed_another_embedding_where_it_is_drawn(
    name: str, methods: dict[str, Method], digits: ImageSet
) -> None:
    other = fitted(name, digits, seed=1)
    is_drawn = name not in METHOD_NAMES or bool(DRAWN & set(name.split("-")))
    assert is_drawn is not torch.equal(other.embed(digits.images), methods[name].embed(digits.images))


def test_saved_and_loaded_it_gives_the_same(
    name: str, methods: dict[str, Method], digits: ImageSet, tmp_path: Path
) -> None:
    torch.save(methods[name].state_dict(), tmp_path / "state.pt")
    fresh = METHODS[name].build(small_config(name), ImageShape(*digits.images.shape[1:]))
    fresh.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    fresh.eval()  # as engine/restore.py does: batch-norm takes what it has learned
    assert torch.equal(fresh.embed(digits.images), methods[name].embed(digits.images))
    assert torch.equal(fresh.assign(digits.images).labels, methods[name].assign(digits.images).labels)


@settings(max_examples=10, deadline=None)
@given(size=st.integers(1, 700))
def test_one_batch_or_many(name: str, size: int) -> None:
    method, digits = _cached(name)
    whole = method.assign(digits.images).labels
    parts = [method.assign(part).labels for part in torch.split(digits.images, size)]
    # Matrix products of other sizes round differently in the last bit; labels must not notice.
    assert torch.equal(torch.cat(parts), whole)


_CACHE: dict[str, tuple[Method, ImageSet]] = {}


def _cached(name: str) -> tuple[Method, ImageSet]:
    if name not in _CACHE:
        digits = load("digits").subset(torch.arange(200))
        _CACHE[name] = fitted(name, digits), digits
    return _CACHE[name]


def test_training_is_given_no_labels(name: str) -> None:
    """Phases take images and what computes; nothing of a method's own signature could carry a label."""
    assert list(inspect.signature(METHODS[name].build).parameters) == ["config", "shape"]
    method = METHODS[name].build(small_config(name), ImageShape(1, 8, 8))
    assert list(inspect.signature(method.phases).parameters) == ["images", "compute"]


def test_shown_images_have_the_images_shape(name: str, methods: dict[str, Method], digits: ImageSet) -> None:
    method = methods[name]
    k = method.clusters
    if isinstance(method, Generative):
        shown, centroids = method.reconstruct(digits.images), method.decoded_centroids()
        assert shown is None or shown.shape == digits.images.shape
        assert centroids is None or centroids.shape == (k, *digits.images.shape[1:])
        no_way_back = {"umap", "hog", "simclr", "scan"} & set(PUBLISHED.get(name, name).split("-"))
        assert (centroids is None) == bool(no_way_back)
    if isinstance(method, EmbeddingMethod):
        z = method.embed(digits.images)
        assert torch.equal(method.assign_embedded(z).labels, method.assign(digits.images).labels)
        assert all(math.isfinite(value) for value in method.criteria(z).values())
    if isinstance(method, CentroidMethod):
        assert method.centroid_positions().shape == (k, method.embed(digits.images[:1]).shape[1])
