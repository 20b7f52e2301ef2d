"""Where a finished phase is kept: no two outcomes under one key, and what changes nothing leaves the key alone."""

from __future__ import annotations

import ast
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from configs.schema import RunConfig, RuntimeSettings
from data.image_set import DataError
from data.sources import load
from engine import environment, sources
from engine.contents import ELSEWHERE, Contents
from engine.environment import describe_machine
from engine.phase_keys import phase_keys
from engine.processes import launch
from engine.randomness import seed_all
from engine.sources import source_hashes, versions
from methods.base import Method
from methods.dec import DECConfig
from methods.joint import JointConfig
from methods.n2d import N2DConfig
from methods.registry import METHODS
from methods.resolve import resolve_config
from models.autoencoder import ModelError, shape_of
from parts.phases import Phase
from tests.forked import answer
from tests.runs import ROOT
from tests.settings_changed import changed, fields_of
from tests.small import run_phases
from tests.tiny_network import feature_file, tiny_network, tiny_network_yaml

COMPUTE = launch(RuntimeSettings(device="cpu"))
IMAGES = load("digits").images[:24].clone()
POINTS = IMAGES.flatten(1)[:, :, None, None] / 255

NETWORK = "{name: conv, layers: [{channels: 2, kernel: 3}, {channels: 4, kernel: 3}], hidden: [6], latent: 3}"
PRETRAIN = "{epochs: 1, min_steps: 2, batch_size: 12, optimiser: {schedule: step}}"
CLUSTER = ("cluster.max_epochs=1", "cluster.min_steps=0", "cluster.batch_size=12")
JOINT = (f"model={NETWORK}", "initialise.redos=1", *CLUSTER)
RESET = "cluster.reset={interval: 1, initialise: {redos: 1}}"
AUTOENCODER = (*JOINT, f"pretrain={PRETRAIN}", RESET)
AUGMENTED = "cluster.augmentation.rotation=10"
VAE = (*JOINT, "pretrain={objective: elbo, epochs: 1, min_steps: 2, batch_size: 12, warmup: 0.5}")
CONTRASTIVE = "{objective: contrastive, epochs: 1, min_steps: 2, batch_size: 12, projection: [4], memory: 8}"
HEADS = ("cluster.heads=2", "cluster.generations=1", "cluster.epochs=1", "cluster.min_steps=0", "cluster.batch_size=12",
         "cluster.neighbours=3", "cluster.hog={cells: 2, components: 3}")  # fmt: skip
SAID_ELSEWHERE = {"method", "name", "report", "data", "known"}
"""No setting of a run's computation: the fingerprint says which images there are, and what is known hangs on phases."""
ALL_JOINT = {"runtime", "seed", "pixels"}
AS_IN_DEC = ALL_JOINT | {"model", "pretrain"}
"""Sections of other joint methods that the same code reads as in DEC and VAE-DEC."""
OF_THE_FIRST = ALL_JOINT | {"clusters", "initialise", "cluster"}
"""Sections that the first of DEC's bases has changed."""
FILES = f"file: '{feature_file(24)}', beside: ['{feature_file(24)}']"
SHORT = "epochs: 1, min_steps: 0, batch_size: 12"
BASES: list[tuple[str, tuple[str, ...], set[str]]] = [
    ("dec", (*AUTOENCODER, AUGMENTED), set()),
    ("dec", (*JOINT[1:], f"pretrain={PRETRAIN}", "model={name: pooled, channels: [2, 2]}"),
     OF_THE_FIRST | {"pretrain"}),
    ("dec", (*JOINT[1:], f"pretrain={PRETRAIN}",
             "model={name: vit, patch: 4, width: 8, heads: 2, depth: 1, decoder_depth: 1, latent: 3}"),
     OF_THE_FIRST | {"pretrain"}),
    ("dec", (*JOINT[1:], "model={name: dense, hidden: [6], latent: 3}",
             "pretrain={epochs: 1, min_steps: 2, batch_size: 12, greedy: {epochs: 1}}"), OF_THE_FIRST),
    ("dec", (*JOINT, f"pretrain={CONTRASTIVE}"), OF_THE_FIRST | {"model"}),
    ("vae-dec", VAE, ALL_JOINT),
    ("vade", VAE, AS_IN_DEC),
    ("dcn", (*AUTOENCODER, AUGMENTED), AS_IN_DEC),
    ("dkm", AUTOENCODER, AS_IN_DEC),
    ("dekm", AUTOENCODER, AS_IN_DEC),
    ("deepect", (*AUTOENCODER[:-1], AUGMENTED, "cluster.growth.min_steps=0"), AS_IN_DEC),
    ("dipdeck", (f"model={NETWORK}", f"pretrain={PRETRAIN}", "initialise.redos=1",
                 f"cluster={{start: 4, {SHORT}}}"), AS_IN_DEC),
    ("deepdpm", (f"model={NETWORK}", f"pretrain={PRETRAIN}", "layout={neighbours: 4, epochs: 5}",
                 f"cluster={{start: 3, most: 6, hidden: 4, rounds: 3, {SHORT}}}"), AS_IN_DEC),
    ("scan", (f"model={NETWORK}", f"pretrain={CONTRASTIVE}",
              f"cluster={{heads: 2, {SHORT}, neighbours: 3, prior: learned, prior_momentum: 0.5}}",
              "self_label={epochs: 1, min_steps: 0}"), AS_IN_DEC),
    ("temi", (f"model={NETWORK}", f"pretrain={CONTRASTIVE}",
              f"cluster={{heads: 2, hidden: 4, bottleneck: 3, {SHORT}, neighbours: 3}}"), AS_IN_DEC),
    ("temi", (f"pretrain={{objective: frozen, {tiny_network_yaml()}, beside: [{{{tiny_network_yaml()}}}]}}",
              f"cluster={{heads: 1, {SHORT}, neighbours: 3, prior: learned}}"),
     OF_THE_FIRST | {"model"}),
    ("temi", ("pretrain={objective: given, scaling: sd, spaces: [32, 32]}",
              f"cluster={{heads: 1, {SHORT}, neighbours: 3}}"),
     ALL_JOINT | {"clusters", "cluster", "model"}),
    ("turtle", (f"model={NETWORK}", f"pretrain={CONTRASTIVE}",
                f"cluster={{starts: 2, {SHORT}, inner: {{steps: 2}}, gradients: {{cells: 2, components: 3}}}}"),
     AS_IN_DEC),
    ("turtle", (f"pretrain={{objective: frozen, {tiny_network_yaml()}}}",
                f"cluster={{starts: 1, {SHORT}, inner: {{steps: 1}}}}"),
     OF_THE_FIRST | {"model", "pretrain"}),
    ("frozen-pca-kmeans", (*(f"representation.frozen.{setting}" for setting in tiny_network()),
                           f"representation.frozen.beside=[{{{tiny_network_yaml()}}}]",
                           "representation.pca={components: 4}"), set()),
    ("features-pca-kmeans", (f"representation.features={{{FILES}}}", "representation.pca={components: 4}"), set()),
    ("turtle", (f"pretrain={{objective: features, {FILES}}}", f"cluster={{starts: 1, {SHORT}, inner: {{steps: 1}}}}"),
     OF_THE_FIRST | {"model"}),
    ("pace", (f"model={NETWORK}", f"pretrain={CONTRASTIVE}", *HEADS, "self_label={max_epochs: 1, min_steps: 0}"),
     AS_IN_DEC),
    ("hog-pca-kmeans", ("representation.pca={components: 4}", "representation.hog.cells=4"), set()),
    ("ae-pca-gmm", (f"representation.autoencoder.model={NETWORK}", f"representation.autoencoder.pretrain={PRETRAIN}",
                    "representation.pca={variance: 0.7}"), set()),
    ("vae-kmeans", (f"representation.vae.model={NETWORK}", "representation.vae.pretrain={epochs: 1, min_steps: 2}"),
     set()),
    ("simclr-kmeans", (f"representation.simclr.model={NETWORK}", f"representation.simclr.pretrain={CONTRASTIVE}"),
     set()),
    ("umap-gmm", ("representation.umap={components: 2, neighbours: 4, epochs: 5}",), set()),
    *((f"raw-{name}", (), set()) for name in ("agglomerative", "spectral", "dbscan", "hdbscan", "som")),
]  # fmt: skip
"""Small configs that together have every section of every kind, and the sections that are not changed there."""


def config_of(name: str, settings: tuple[str, ...] = ()) -> RunConfig:
    return resolve_config(name, None, ["clusters=3", "runtime.device=cpu", *settings], {})


def given(config: RunConfig) -> bool:
    """Whether it takes points as data."""
    return getattr(getattr(config, "pretrain", None), "objective", "") == "given"


class Built:
    """A method with its phases and their keys, nothing of it run."""

    def __init__(self, config: RunConfig) -> None:
        seed_all(config.seed)
        self.config = config
        self.images = POINTS if given(config) else IMAGES
        shape = shape_of(self.images.shape[1:], given(config))
        self.method: Method = METHODS[config.method].build(config, shape)
        self.phases: list[Phase] = list(self.method.phases(self.images, COMPUTE))
        runtime = config.runtime
        machine = describe_machine(COMPUTE.device, runtime.devices * runtime.nodes, runtime)
        # The last phase is the run's own and never shared.
        self.keys = phase_keys(self.phases[:-1], self.images, COMPUTE, {"seed": config.seed, "machine": machine})

    def outcome(self, count: int) -> list[Any]:
        """What the first phases leave behind."""
        found = []
        for number in range(count):  # read at each one's end: later phases train some modules on
            run_phases(self.method, self.images, self.config, self.phases[: number + 1], first=number)
            found.append(plain(self.phases[number].module.state_dict()))
        return found


def plain(state: Any) -> Any:
    """Tensors as lists, so that states compare with ==."""
    if isinstance(state, Tensor):
        return state.tolist()
    if isinstance(state, Mapping):
        return {name: plain(value) for name, value in state.items()}
    return state


@pytest.mark.parametrize(
    ("name", "settings", "left_alone"),
    [
        pytest.param(*base, id=f"{number}-{base[0]}", marks=[pytest.mark.umap] * (base[0] in ("umap-gmm", "deepdpm")))
        for number, base in enumerate(BASES)
    ],
)
def test_no_two_outcomes_share_a_key(name: str, settings: tuple[str, ...], left_alone: set[str]) -> None:
    base = config_of(name, settings)
    begun = Built(base)
    outcomes, wrong = begun.outcome(len(begun.phases) - 1), []
    for _, path, other in changed(base, SAID_ELSEWHERE | left_alone):
        try:
            built = Built(other)
        except (DataError, ModelError):  # no such file, or a network that does not fit these images
            continue
        # Keys are chained: those that are alike stand at the beginning.
        alike = sum(a == b for a, b in zip(built.keys, begun.keys, strict=False))
        if alike and built.outcome(alike) != outcomes[:alike]:
            wrong.append(f"{path} changes what a phase leaves behind, and not its key")
    assert wrong == []


def test_every_setting_of_every_method_is_changed_there() -> None:
    tried = {
        field
        for name, settings, left_alone in BASES
        for field, _, _ in changed(config_of(name, settings), SAID_ELSEWHERE | left_alone)
    }
    schemas = {entry.config for entry in METHODS.values()}
    wanted = {field for schema in schemas for field in fields_of(schema, SAID_ELSEWHERE)}
    kinds = {"name", "objective"}  # which say of what kind a section is; BASES has all kinds
    # What all joint methods inherit is changed in DEC.
    missing = {
        (model.__name__, field)
        for model, field in wanted - tried
        if field not in kinds and not (issubclass(model, JointConfig) and field in AS_IN_DEC)
        if model is not N2DConfig  # whose phases are those of its parts
    }
    assert not missing
    assert {(DECConfig, field) for field in ("seed", "pixels")} <= tried


def test_runs_share_what_begins_alike() -> None:
    """Keys that differed without a reason would share nothing."""
    dec, dcn = Built(config_of("dec", AUTOENCODER)), Built(config_of("dcn", AUTOENCODER))
    assert dec.keys[0] == dcn.keys[0]
    assert dec.keys[1] != dcn.keys[1]
    assert Built(config_of("dec", (*AUTOENCODER, "cluster.gamma=0.5"))).keys == dec.keys
    umap, gmm = Built(config_of("umap-kmeans")), Built(config_of("umap-gmm"))
    assert umap.keys[0] == gmm.keys[0]


def test_hog_is_in_the_keys_of_what_stands_on_it() -> None:
    fine, coarse = (Built(config_of("hog-pca-kmeans", (f"representation.hog.cells={n}",))) for n in (4, 3))
    assert fine.keys[0] != coarse.keys[0]


def some_keys() -> list[str]:
    return [*Built(config_of("dec", AUTOENCODER)).keys, *Built(config_of("umap-gmm")).keys]


@pytest.mark.forks
def test_keys_are_the_same_in_another_process() -> None:
    # Sets come in another order there.
    assert answer(some_keys) == some_keys()


def test_images_seed_and_machine_are_in_every_key() -> None:
    built = Built(config_of("dec", AUTOENCODER))

    def keys(**common: Any) -> list[str]:
        return phase_keys(built.phases, IMAGES, COMPUTE, common)

    assert keys(seed=0) == keys(seed=0)
    for others in (keys(seed=1), keys(images="f", seed=0), keys(seed=0, machine="m")):
        assert not set(others) & set(keys(seed=0))


def test_the_machine_is_told_from_others(monkeypatch: pytest.MonkeyPatch) -> None:
    cpu, runtime = torch.device("cpu"), RuntimeSettings(device="cpu")
    here = describe_machine(cpu, 1, runtime)
    assert describe_machine(cpu, 1, runtime) == here
    assert describe_machine(cpu, 2, runtime) != here
    assert describe_machine(cpu, 1, runtime.model_copy(update={"precision": "bf16-mixed"})) != here
    monkeypatch.setattr(environment, "processor_name", lambda: "another processor")
    assert describe_machine(cpu, 1, runtime) != here
    monkeypatch.undo()
    monkeypatch.setattr(environment, "cuda_versions", lambda: "13")
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: f"GPU {device.index}")
    one, two = (describe_machine(torch.device("cuda", number), 1, runtime) for number in (0, 1))
    assert one != two
    assert describe_machine(torch.device("cuda", 0), 1, runtime.model_copy(update={"tf32": True})) != one


@pytest.fixture
def copied(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """A copy of the sources, which keys are computed from."""
    for folder in ("configs", "data", "engine", "estimators", "losses", "methods", "models", "parts", "system"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(sources, "ROOT", tmp_path)
    forget_sources()
    yield tmp_path
    monkeypatch.undo()
    forget_sources()


def forget_sources() -> None:
    sources._file.cache_clear()
    sources._read.cache_clear()


def test_code_is_in_the_key_where_a_phase_imports_it(copied: Path) -> None:
    built = Built(config_of("dec", AUTOENCODER))

    def keys() -> list[str]:
        forget_sources()
        return phase_keys(built.phases, IMAGES, COMPUTE, {})

    before = keys()
    (copied / "methods" / "new.py").write_text("from methods.joint import JointMethod\n")
    with (copied / "methods" / "registry.py").open("a") as registry:
        registry.write("from methods import new\n")
    with (copied / "methods" / "dcn.py").open("a") as other:
        other.write("CHANGED = True\n")
    assert keys() == before
    for file, changes in {
        "losses/reconstruction.py": [True, True, True],
        "engine/processes.py": [True, True, True],
        "configs/schema.py": [True, True, True],
        "parts/initialisation.py": [False, True, True],
        "losses/dec.py": [False, True, True],  # of DEC's head, which the initialisation places
    }.items():
        text = (copied / file).read_text()
        (copied / file).write_text(text + "# changed\n")
        assert [a != b for a, b in zip(keys(), before, strict=True)] == changes, file
        (copied / file).write_text(text)
    assert keys() == before


def test_versions_of_all_that_computes_are_found() -> None:
    found = versions(source_hashes("estimators.umap", "estimators.kmeans"))
    assert {"python", "torch", "numpy", "scipy", "faiss-cpu", "scikit-learn", "umap-learn", "numba"} <= found.keys()
    assert found["torch"] == torch.__version__.partition("+")[0] or found["torch"] == torch.__version__


def test_another_version_is_another_key(monkeypatch: pytest.MonkeyPatch) -> None:
    built = Built(config_of("umap-gmm"))
    before = phase_keys(built.phases, IMAGES, COMPUTE, {})
    for package in ("faiss-cpu", "scikit-learn", "scipy", "umap-learn", "numba", "numpy"):
        installed = sources._installed
        monkeypatch.setattr(
            sources, "_installed", lambda name, p=package, i=installed: ("0", i(name)[1]) if name == p else i(name)
        )
        assert phase_keys(built.phases, IMAGES, COMPUTE, {})[0] != before[0], package
        monkeypatch.undo()


def test_contents_are_told_apart() -> None:
    def of(value: Any) -> str:
        contents = Contents({})
        contents.add(value)
        return contents.hexdigest()

    weight = torch.arange(4.0)
    values = [1, 1.0, "1", True, None, b"1", (1,), [1], {1: 1}, {1}, weight, weight.double(), weight.view(2, 2),
              weight.clone().requires_grad_(), lambda: weight, lambda: 1, of, torch.float32, Path("1")]  # fmt: skip
    assert len({of(value) for value in values}) == len(values)
    assert of([weight, weight]) != of([weight, weight.clone()])  # what is shared is not what is equal
    assert of({"a": weight}) == of({"a": weight.clone()})
    circle: list[Any] = [1]
    circle.append(circle)
    assert of(circle) == of(circle)
    with pytest.raises(TypeError, match="a phase holds a builtins.object"):
        of(object())


def test_methods_read_nothing_that_keys_hold_in_another_form() -> None:
    """What `Contents` leaves out of a run's config: its name, its report, the images' place, the machine."""
    read = [
        f"{file.name}:{node.lineno}: {ast.unparse(node)}"
        for folder in ("methods", "parts", "models", "losses", "estimators")
        for file in sorted((ROOT / folder).rglob("*.py"))
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Attribute) and node.attr in ELSEWHERE
        if ast.unparse(node.value) in ("config", "self.config", "run", "self.run")
    ]
    assert not read
