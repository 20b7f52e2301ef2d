"""`METHODS`: what `--method NAME` can be. A new method is one file and one entry here.

Nothing here imports a method, or torch: a list of names takes no seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from importlib import import_module
from itertools import product, zip_longest
from textwrap import wrap
from typing import TYPE_CHECKING, Any

from configs.load import ConfigError
from configs.schema import RunConfig

if TYPE_CHECKING:
    from methods.base import Method
    from models.autoencoder import ImageShape

ENCODERS, REDUCERS = ("", "hog", "ae", "vae", "simclr", "frozen", "features"), ("", "pca", "umap", "pca-umap")
CLUSTERERS = ("kmeans", "gmm", "agglomerative", "spectral", "dbscan", "hdbscan", "som")
REPRESENTATIONS = tuple("-".join(filter(None, parts)) or "raw" for parts in product(ENCODERS, REDUCERS))
METHOD_NAMES = tuple("-".join(parts) for parts in product(REPRESENTATIONS, CLUSTERERS))
"""The names of two-stage methods."""


@dataclass(frozen=True)
class MethodEntry:
    """How a method is configured and built.

    Attributes:
        file: the method's, in `methods/`.
        name: of its class there. Its config's class is `name` with "Config" after it.
        semi_supervised: whether it can learn from known labels as well (`methods.base.SemiSupervised`).
    """

    file: str
    name: str
    semi_supervised: bool = False

    @property
    def config(self) -> type[RunConfig]:
        """The schema of its config."""
        schema: type[RunConfig] = getattr(import_module(f"methods.{self.file}"), f"{self.name}Config")
        return schema

    @property
    def build(self) -> Callable[[Any, ImageShape], Method]:
        """The method, from such a config and the images' shape."""
        method: Callable[[Any, ImageShape], Method] = getattr(import_module(f"methods.{self.file}"), self.name)
        return method


METHODS: dict[str, MethodEntry] = {
    **dict.fromkeys(("dec", "idec", "dcec", "vae-dec", "dec-da", "idec-da"), MethodEntry("dec", "DEC", True)),
    "scan": MethodEntry("scan", "SCAN"),
    "temi": MethodEntry("temi", "TEMI"),
    "turtle": MethodEntry("turtle", "TURTLE"),
    "pace": MethodEntry("pace", "PACE", True),
    "dipdeck": MethodEntry("dipdeck", "DipDECK"),
    "vade": MethodEntry("vade", "VaDE"),
    "dcn": MethodEntry("dcn", "DCN"),
    "deepdpm": MethodEntry("deepdpm", "DeepDPM"),
    "dkm": MethodEntry("dkm", "DKM"),
    "dekm": MethodEntry("dekm", "DEKM"),
    "deepect": MethodEntry("deepect", "DeepECT"),
    "n2d": MethodEntry("n2d", "N2D"),
    **dict.fromkeys(METHOD_NAMES, MethodEntry("two_stage", "TwoStage")),
}


def canonical(name: str) -> str:
    """The method's name as it stands in `METHODS`, whatever the case: "DEC" is dec; what is none stays as it is."""
    return name.lower() if name.lower() in METHODS else name


def methods_table() -> str:
    """What `--method` can be, for `--help`: groups of names, a line each, at most 80 columns."""
    groups: dict[str, Iterable[str]] = {
        "deep methods": [name for name in METHODS if name not in METHOD_NAMES],
        "two stages": ["REPRESENTATION-CLUSTERER, such as umap-kmeans: any pair of"],
    }
    for encoder in ENCODERS:
        groups[f"  {encoder or 'pixels'}"] = ["-".join(filter(None, (encoder, r))) or "raw" for r in REDUCERS]
    groups["  with"] = CLUSTERERS
    lines: list[str] = []
    for heading, names in groups.items():
        # Names keep their hyphens together: a part of one is another name.
        wrapped = wrap(", ".join(names), 60, break_on_hyphens=False)
        lines += [f"{label:<14}{line}" for label, line in zip_longest([heading], wrapped, fillvalue="")]
    return "\n".join(lines)


def method_names() -> str:
    """What `--method` can be, in one line: the two-stage methods by their parts."""
    joint = [name for name in METHODS if name not in METHOD_NAMES]
    return (
        f"{', '.join(joint)}; or two stages, REPRESENTATION-CLUSTERER such as ae-kmeans or pca-umap-gmm: "
        f"{', '.join(REPRESENTATIONS)} with {', '.join(CLUSTERERS)}"
    )


def check_method(name: str) -> None:
    """Whether there is such a method.

    Raises:
        ConfigError: naming the nearest ones, and all.
    """
    if name not in METHODS:
        meant = " or ".join(_meant(name.lower()))
        hint = f" Did you mean {meant}?" if meant else ""
        raise ConfigError(f"there is no method {name!r}.{hint} Methods: {method_names()}.")


def check_known(name: str) -> None:
    """Whether a method can learn from known labels.

    Raises:
        ConfigError: naming those that can.
    """
    if not METHODS[name].semi_supervised:
        able = ", ".join(other for other, entry in METHODS.items() if entry.semi_supervised)
        raise ConfigError(f"{name} cannot learn from known labels. These can: {able}.")


def _meant(name: str) -> Sequence[str]:
    """The methods that a name may stand for: one half of a two-stage method's name, or a slip of the finger."""
    if name in CLUSTERERS:
        return f"raw-{name}", f"umap-{name}"
    if name in REPRESENTATIONS:
        return f"{name}-kmeans", f"{name}-gmm"
    return get_close_matches(name, METHODS, n=1)
