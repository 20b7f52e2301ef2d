"""Messages that a Python caller can meet speak of settings, not of how they are typed behind a command."""

from __future__ import annotations

import ast
import re

import numpy as np
import pytest

from deepclustering import DeepClustering
from engine.sources import source_hashes
from tests.runs import ROOT

NAMED_AS_SUCH = {
    "deepclustering": {"train.py", "--devices", "--resume"},  # what only the command does
    "data.places": {"--data-root"},  # said to stand behind a command
    "data.cache_command": {"--clear"},  # a command itself
    "methods.resolve": {"--clusters", "--set"},  # how a command was given k
    "system.command": {"--no-cache"},
    "data.debian": {"--print-uris"},  # of apt-get
    "engine.environment": {"--porcelain", "--untracked-files"},  # of git
}
TYPED = re.compile(r"(?<![\w-])--[a-z][a-z-]+|\b(?:train|eval|compare|explore)\.py")


def texts(module: str) -> list[str]:
    """Every string of a module that is not a docstring or another expression that stands for itself."""
    place = ROOT.joinpath(*module.split("."))
    tree = ast.parse((place / "__init__.py" if place.is_dir() else place.with_suffix(".py")).read_text())
    alone = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    return [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in alone
    ]


def test_no_message_names_an_option_or_a_command() -> None:
    found = {}
    for module in source_hashes("deepclustering"):
        said = {word for text in texts(module) for word in TYPED.findall(text)} - NAMED_AS_SUCH.get(module, set())
        if said:
            found[module] = sorted(said)
    assert found == {}
    assert any(TYPED.search(text) for text in texts("engine.run_folder"))  # which only commands import


IMAGES = np.random.default_rng(0).integers(0, 256, (40, 6, 6), dtype=np.uint8)


@pytest.mark.parametrize(
    ("given", "images", "message"),
    [
        ({"n_clusters": 41}, IMAGES, "41 clusters for 40 images.*ask for fewer clusters"),
        ({"settings": {"data.validation": "many"}}, "digits", "data.validation: received 'many'"),
        ({"settings": {"data.subset": 5}}, IMAGES, "data.subset is for data by name or path: of an array, give"),
        ({"settings": {"cluster": "{"}}, IMAGES, "the setting cluster: '{' is no valid YAML"),
        ({"settings": {"cluster.redos.k": 3}}, IMAGES, "the setting cluster.redos.k: redos is a value"),
        ({"settings": {"clusters": 3}}, IMAGES, "clusters has a parameter of its own, n_clusters"),
        ({"settings": {"cluster..redos": 3}}, IMAGES, "a setting is given as section.key=value"),
        ({"settings": {"cluster.redo": 3}}, IMAGES, "Did you mean redos"),
        ({"device": "tpu"}, IMAGES, "runtime.device: received 'tpu'"),
        ({"method": None}, IMAGES, "name a method or a config file"),
        ({"settings": {"data.split": "validation"}}, "digits", "data.split"),
    ],
)
def test_messages_of_what_cannot_be(given: dict[str, object], images: object, message: str) -> None:
    model = DeepClustering(**{"method": "raw-kmeans", **given})  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=message) as caught:
        model.fit(images)
    assert not TYPED.search(str(caught.value))


def test_a_device_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(ValueError, match="device cuda: torch finds none on this machine. Take the device auto or cpu"):
        DeepClustering("raw-kmeans", device="cuda").fit(IMAGES)
