"""Every method and every part of the two-stage methods on two processes: the losses of one, and no standing still."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from typing import Any

import pytest

from engine.processes import launch
from estimators.build import CLUSTERERS
from methods.registry import METHOD_NAMES, METHODS
from tests.run_methods import MORE, RUNTIME, histories, write_histories
from tests.two_processes import in_two

JOINT = [name for name in METHODS if name not in METHOD_NAMES]
PARTS = [
    "ae-pca-kmeans",
    "vae-gmm",
    "simclr-spectral",
    "hog-pca-som",
    "frozen-kmeans",
    *(f"raw-{name}" for name in CLUSTERERS),
]
NAMES = list(dict.fromkeys([*JOINT, *PARTS, *MORE]))
UNTIMED = {"seconds", "images_per_second"}
CHAOTIC = {"sizes"}
"""Of a UMAP layout, in which the rounding of an autoencoder's latents grows."""

History = list[dict[str, Any]]


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, History]:
    """By two processes, in which numba compiles nothing: it would take longer than all runs."""
    folder = tmp_path_factory.mktemp("two")
    out = folder / "histories.json"
    done = in_two(folder, uncompiled, str(out))
    assert done.codes == (0, 0), done.stderr
    found: dict[str, History] = json.loads(out.read_text())
    return found


def uncompiled(out: str) -> None:
    os.environ["NUMBA_DISABLE_JIT"] = "1"
    write_histories(out, 2, NAMES)


@pytest.mark.umap
def test_two_processes_end_with_the_losses_of_one(two: Mapping[str, History]) -> None:
    one = histories(NAMES, launch(RUNTIME))
    apart = [line for name in NAMES for line in differences(name, one[name], two[name])]
    assert not apart, "\n".join(apart)


def differences(name: str, one: History, two: History) -> list[str]:
    """A line for every value that is not the same to 1e-4."""
    if [row["phase"] for row in one] != [row["phase"] for row in two]:
        return [f"{name}: phases {[row['phase'] for row in one]} and {[row['phase'] for row in two]}"]
    return [
        f"{name}, {row['phase']}, {key}: {row[key]} and {other.get(key)}"
        for row, other in zip(one, two, strict=True)
        for key in row.keys() - UNTIMED - (CHAOTIC if "n2d" in name else set())
        if not alike(row[key], other.get(key))
    ]


def alike(one: Any, two: Any) -> bool:
    if isinstance(one, float):
        return isinstance(two, float) and math.isclose(one, two, rel_tol=1e-4, abs_tol=1e-4)
    return bool(one == two)
