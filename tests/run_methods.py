"""Small runs of many methods, one after another, by the processes that there are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from configs.schema import RuntimeSettings
from data.known import KnownLabels
from data.sources import load
from engine.processes import Processes, launch
from methods.points import config_for_points
from tests.small import run_config, small_config
from tests.tiny_network import tiny_network_yaml

IMAGES = 128

# Before batch-norm a bias has no gradient but rounding, of which Adam makes whole steps and SGD none.
SGD = "pretrain.optimiser={name: sgd, learning_rate: 0.05}"
MORE: dict[str, list[str]] = {
    "scan": [
        SGD,
        "cluster.optimiser={name: sgd, learning_rate: 0.01}",
        "cluster.batch_size=32",
        "self_label={confidence: 0.3, min_steps: 0, epochs: 2, batch_size: 32, optimiser: {name: sgd}}",
    ],
    "pace": [SGD],
    "temi": [SGD, "cluster.batch_size=32"],
    "pace, learned": [SGD, "cluster.prior=learned", "cluster.prior_momentum=0.5"],
    "temi, learned": [SGD, "cluster.batch_size=32", "cluster.prior=learned"],
    "temi, frozen": [f"pretrain={{objective: frozen, {tiny_network_yaml()}}}", "cluster.batch_size=32"],
    "temi, points": ["cluster.batch_size=32"],
    "scan, points": ["cluster.batch_size=32", "cluster.resting_optimiser={name: sgd, learning_rate: 0.01}"],
    "idec, points": ["model={name: dense, hidden: [16]}", "pretrain.optimiser={name: sgd}"],
    "dipdeck, points": [
        "model={name: dense, hidden: [16]}",
        "pretrain.optimiser={name: sgd}",
        "cluster.optimiser={name: sgd, learning_rate: 0.01}",
    ],
    "turtle": [SGD, "cluster.batch_size=32"],
    "turtle, frozen": [f"pretrain={{objective: frozen, {tiny_network_yaml()}}}", "cluster.batch_size=32"],
    "simclr-spectral": [f"representation.simclr.{SGD}"],
    # Batch-norm, dropout and noise in one network, whose layers look at the whole batch.
    "dec, pooled": ["model.name=pooled", "pretrain.noise=0.2", "cluster.reconstruction=true", SGD],
    "idec, vit": ["model={name: vit, width: 16, heads: 2, depth: 1, decoder_depth: 1, patch: 4}", SGD],
    "scan, vit": [SGD, "model={name: vit, width: 16, heads: 2, depth: 1, patch: 4}", "cluster.batch_size=32"],
    "idec, dense": ["model={name: dense, hidden: [32, 16], dropout: 0.2}", "pretrain.greedy={epochs: 1}"],
    "dec, resets": ["cluster.reset.interval=1", "model.batch_norm=true", SGD],
    "dcn, resets": ["cluster.reset.interval=1", "cluster.augmentation.rotation=10"],
    "deepect": ["cluster.batch_size=32"],
    "deepect, augmented": ["cluster.batch_size=32", "cluster.augmentation.rotation=10"],
    "idec, known": ["model.batch_norm=true", "model.name=conv", SGD],
    "pace, known": [SGD],
    "pace, confident": [SGD, "self_label={confidence: 0.5, min_steps: 0, max_epochs: 2, batch_size: 32}"],
}

KNOWN = KnownLabels(torch.arange(0, 60, 2), torch.arange(30) % 3, ("a", "b", "c"))
"""What runs are told that are called so."""


def histories(names: list[str], processes: Processes) -> dict[str, list[dict[str, Any]]]:
    """What the loop wrote down of every run, by name."""
    images = load("digits").subset(torch.arange(IMAGES)).images
    points = images.flatten(1)[:, :, None, None] / 255
    found = {}
    for name in names:
        config = small_config(name.partition(",")[0], settings=MORE.get(name, []))
        data = images
        if name.endswith(", points"):
            (config, _), data = config_for_points(config, MORE[name]), points
        fitted = run_config(config, data, processes, KNOWN if name.endswith(", known") else None)
        used = fitted.assignments.labels.bincount(minlength=fitted.method.clusters)
        found[name] = [*fitted.checkpoint.loop.history, {"phase": "assign", "sizes": used.tolist()}]
    return found


RUNTIME = RuntimeSettings(device="cpu")


def write_histories(out: str, devices: int, names: list[str]) -> None:
    """The histories as JSON, written by the first process."""
    processes = launch(RUNTIME.model_copy(update={"devices": devices}))
    found = histories(names, processes)
    if processes.is_first:
        Path(out).write_text(json.dumps(found))
