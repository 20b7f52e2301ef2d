"""What a person calls the clusters: a JSON file, {"0": "boots", "3": "bags"}; or by the labels that a run was told."""

from __future__ import annotations

import json
from pathlib import Path

import torch

from data.files import reason
from engine.checkpoint import Checkpoint
from evaluation.predictions import EvaluationError

FORM = 'It holds one JSON object, a name by the cluster\'s number: {"0": "boots", "3": "bags"}.'


def read_names(path: Path, clusters: int) -> dict[int, str]:
    """The names in the file, by cluster. Empty names are left out.

    Args:
        path: what `names.json` of a gallery holds, or what a person wrote.
        clusters: k.

    Raises:
        EvaluationError: there is no such file, it holds something else, or it names a cluster that there is not.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise EvaluationError(f"the names in {path} cannot be read ({reason(error, path)}). {FORM}") from error
    if not isinstance(content, dict) or not all(isinstance(name, str) for name in content.values()):
        raise EvaluationError(f"the names in {path} cannot be read. {FORM}")
    unknown = [key for key in content if not (key.isdecimal() and int(key) < clusters)]
    if unknown:
        raise EvaluationError(f"{path} names cluster {unknown[0]!r}; the clusters are 0 to {clusters - 1}.")
    return {int(key): " ".join(name.split()) for key, name in content.items() if name.strip()}


def names_by_known(checkpoint: Checkpoint) -> dict[int, str]:
    """Every cluster called by the label that most of its known images have; without any it has no name.

    Args:
        checkpoint: of a finished run; one that was told no labels gives no names.
    """
    known = checkpoint.data.get("known")
    if known is None or "classes" not in known or checkpoint.assignments is None:
        return {}
    clusters = checkpoint.assignments[known["images"]]
    votes = {int(cluster): known["classes"][clusters == cluster].bincount() for cluster in torch.unique(clusters)}
    return {cluster: known["names"][int(counts.argmax())] for cluster, counts in votes.items()}
