"""`METHODS`: what `--method NAME` can be. A new method is one file and one entry here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from configs.load import ConfigError
from configs.schema import RunConfig
from data.image_set import DataError
from estimators.base import ClusteringError, RepresentationError
from estimators.build import CLUSTERERS
from methods.base import Method
from methods.dcn import DCN, DCNConfig
from methods.dec import DEC, DECConfig
from methods.dekm import DEKM, DEKMConfig
from methods.dkm import DKM, DKMConfig
from methods.n2d import N2D, N2DConfig
from methods.pace import PACE, PACEConfig
from methods.scan import SCAN, SCANConfig
from methods.two_stage import METHOD_NAMES, NAMES, TwoStage, TwoStageConfig
from methods.vade import VaDE, VaDEConfig
from models.autoencoder import ImageShape, ModelError

REFUSALS = (ConfigError, DataError, ModelError, ClusteringError, RepresentationError)
"""What a method raises for a config or for images that it cannot take."""


@dataclass(frozen=True)
class MethodEntry:
    """How a method is configured and built.

    Attributes:
        config: the schema of its config.
        build: from such a config and the images' shape.
    """

    config: type[RunConfig]
    build: Callable[[Any, ImageShape], Method]


METHODS: dict[str, MethodEntry] = {
    **dict.fromkeys(("dec", "idec", "dcec", "vae-dec", "dec-da", "idec-da"), MethodEntry(DECConfig, DEC)),
    "scan": MethodEntry(SCANConfig, SCAN),
    "pace": MethodEntry(PACEConfig, PACE),
    "vade": MethodEntry(VaDEConfig, VaDE),
    "dcn": MethodEntry(DCNConfig, DCN),
    "dkm": MethodEntry(DKMConfig, DKM),
    "dekm": MethodEntry(DEKMConfig, DEKM),
    "n2d": MethodEntry(N2DConfig, N2D),
    **dict.fromkeys(METHOD_NAMES, MethodEntry(TwoStageConfig, TwoStage)),
}


def method_names() -> str:
    """What `--method` can be, in one line: the two-stage methods by their parts."""
    joint = [name for name in METHODS if name not in METHOD_NAMES]
    return (
        f"{', '.join(joint)}; or two stages, REPRESENTATION-CLUSTERER such as ae-kmeans or pca-umap-gmm: "
        f"{', '.join(NAMES)} with {', '.join(CLUSTERERS)}"
    )


def check_method(name: str) -> None:
    """Whether there is such a method.

    Raises:
        ConfigError: naming the nearest ones, and all.
    """
    if name not in METHODS:
        near = get_close_matches(name, METHODS, n=1)
        hint = f" Did you mean {near[0]}?" if near else ""
        raise ConfigError(f"there is no method {name!r}.{hint} Methods: {method_names()}.")
