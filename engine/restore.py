"""A fitted method from a checkpoint."""

from __future__ import annotations

from configs.load import validate
from configs.schema import RunConfig
from engine.checkpoint import Checkpoint
from engine.checkpoints_folder import shared_phases
from engine.errors import CheckpointError
from engine.kept_features import recall_features
from methods.base import Method
from methods.former_names import under_todays_name
from methods.registry import METHODS, method_names
from models.autoencoder import shape_of


def restore(checkpoint: Checkpoint, source: str) -> tuple[RunConfig, Method]:
    """The config and the method, with the weights and arrays of the checkpoint, and the features that its run left.

    Args:
        checkpoint: of a run.
        source: where it was read from, for messages.

    Raises:
        CheckpointError: when this version of the project does not know its method, or its weights do not fit.
        ConfigError: when its config is not valid any more.
    """
    raw = under_todays_name(checkpoint.config)
    name = raw.get("method")
    if name not in METHODS:
        raise CheckpointError(f"{source} was trained by {name!r}, which is none of these: {method_names()}.")
    config = validate(METHODS[name].config, raw, source)
    method = METHODS[name].build(config, shape_of(checkpoint.data["shape"], checkpoint.data.get("points", False)))
    method.eval()
    try:
        method.load_state_dict(checkpoint.method)
    except (RuntimeError, KeyError, ValueError) as error:
        raise CheckpointError(f"the weights in {source} do not fit its config: {error}") from error
    recall_features(method, checkpoint.loop.keys, shared_phases().get)
    return config, method
