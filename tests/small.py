"""Every method small enough for a test: the settings that make it so, and a run of it."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from configs.schema import RunConfig
from data.image_set import ImageSet
from data.known import Known
from engine.checkpoint import LoopState
from engine.fit import Fitted, fit
from engine.loop import Loop
from engine.processes import Processes, launch
from engine.progress import Display
from estimators.build import CLUSTERERS
from methods.base import Method
from methods.registry import METHOD_NAMES, METHODS
from methods.resolve import resolve_config
from parts.phases import Phase
from tests.tiny_network import tiny_network

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
    "deepect": [*DEC_SMALL, "cluster.growth={interval: 1, min_steps: 0}", "clusters=5"],
    "dipdeck": [
        "pretrain.epochs=2",
        "pretrain.min_steps=0",
        "initialise.redos=2",
        "cluster.start=8",
        "cluster.epochs=2",
        "cluster.min_steps=0",
    ],
    "deepdpm": [
        "layout=~",
        "pretrain.epochs=2",
        "pretrain.min_steps=0",
        "cluster.start=3",
        "cluster.most=8",
        "cluster.hidden=8",
        "cluster.rounds=3",
        "cluster.epochs=1",
        "cluster.min_steps=0",
    ],
    "scan": [
        "pretrain.epochs=2",
        "pretrain.min_steps=0",
        "cluster.heads=3",
        "cluster.neighbours=5",
        "cluster.epochs=2",
        "cluster.min_steps=0",
        "self_label={confidence: 0.3, min_steps: 0, epochs: 1, batch_size: 64}",
    ],
    "pace": [
        "pretrain.epochs=2",
        "pretrain.min_steps=0",
        "cluster.heads=3",
        "cluster.epochs=2",
        "cluster.min_steps=0",
        "self_label={min_steps: 0, max_epochs: 1}",
    ],
    "temi": [
        "pretrain.epochs=2",
        "pretrain.min_steps=0",
        "cluster.heads=3",
        "cluster.hidden=16",
        "cluster.bottleneck=8",
        "cluster.neighbours=5",
        "cluster.epochs=2",
        "cluster.min_steps=0",
    ],
    "turtle": [
        "pretrain.epochs=2",
        "pretrain.min_steps=0",
        "cluster.starts=2",
        "cluster.gradients={cells: 2, components: 4}",
        "cluster.inner.steps=2",
        "cluster.epochs=2",
        "cluster.min_steps=0",
    ],
    "frozen": [f"representation.frozen.{setting}" for setting in tiny_network()],
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
    "agglomerative": ["cluster.subset=100"],
    "spectral": ["cluster.subset=100", "cluster.redos=2"],
    "dbscan": ["cluster.subset=100"],
    "hdbscan": ["cluster.subset=100"],
    "som": ["cluster.passes=5"],
}

ALONE = ("raw", "pca", "umap", "pca-umap", "hog", "ae", "vae", "simclr", "frozen")
CHAINS = ("hog-pca", "ae-umap", "simclr-pca-umap", "frozen-pca")
# The joint methods, every representation alone and in a chain, and every clusterer. All pairs would only repeat them.
TESTED = [
    *(name for name in METHODS if name not in METHOD_NAMES),
    *(f"{representation}-kmeans" for representation in (*ALONE, *CHAINS)),
    *(f"raw-{clusterer}" for clusterer in CLUSTERERS if clusterer != "kmeans"),
    "ae-umap-gmm",
]


def small_config(name: str, seed: int = 0, settings: Sequence[str] = ()) -> RunConfig:
    """The method's config on digits, small, with `settings` in addition."""
    small = [setting for part in ([name] if name in SMALL else name.split("-")) for setting in SMALL.get(part, [])]
    return resolve_config(name, None, [*small, "data.name=digits", f"seed={seed}", "runtime.device=cpu", *settings], {})


def run_phases(
    method: Method, images: Tensor, config: RunConfig, phases: Sequence[Phase] | None = None, first: int = 0
) -> LoopState:
    """Beneath `fit`: some phases alone, a method as it stands, or images that `fit` refuses.

    Args:
        method: built.
        images: (n, c, h, w).
        config: its.
        phases: up to the last one that is run; by default all that the method has.
        first: the number of the first that is run.
    """
    processes = launch(config.runtime)
    phases = method.phases(images, processes) if phases is None else phases
    names, state = [phase.name for phase in phases], LoopState(phase=first)
    Loop(method, images, names, config, processes, lambda *_: None, Display(quiet=True), state=state).run(phases)
    return state


def run_config(config: RunConfig, images: Tensor, processes: Processes, known: Known | None = None) -> Fitted:
    """A run in memory, from the first phase to the last."""
    return fit(config, ImageSet("small", "train", images), processes=processes, known=known)
