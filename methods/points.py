"""What of a config only pictures can have, where the data are points: changed, and told, or refused."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from pydantic import BaseModel

from configs.load import ConfigError, set_value, set_values, validate
from configs.schema import AugmentationSettings, RunConfig


def config_for_points(config: RunConfig, assignments: Sequence[str] = ()) -> tuple[RunConfig, str | None]:
    """The config for points, and what a person must be told of it; None where nothing changed.

    Args:
        config: as it is for images.
        assignments: "section.key=value" each, which the user gave: these stay.

    Raises:
        ConfigError: when a setting is for pictures alone.
    """
    changes = config.for_points
    schema = type(config)
    fitting, note = config, None
    if changes:
        raw: dict[str, Any] = config.model_dump()
        for path, value in changes.items():
            set_value(raw, path, value)
        own = [text for text in assignments if _path(text).startswith(tuple(changes))]
        set_values(raw, own, schema)
        fitting = validate(schema, raw, f"{config.method}, the given settings, and what points need")
        before, after = config.model_dump(), fitting.model_dump()
        told = [_told(path, _at(after, path)) for path in changes if _at(after, path) != _at(before, path)]
        note = f"the data are points, so that pictures' settings were changed: {', '.join(told)}" if told else None
    for path, augmentation in _augmentations(fitting):
        if augmentation != AugmentationSettings():
            raise ConfigError(
                f"{path} changes pictures, and the data are points. Set {path} to {{}}, or take a "
                "method without it, such as idec."
            )
    return fitting, note


def _path(assignment: str) -> str:
    return assignment.partition("=")[0].strip()


def _at(content: Any, path: str) -> Any:
    """The value at a dotted path."""
    for key in path.split("."):
        content = content[key]
    return content


def _told(path: str, value: Any) -> str:
    """A change in a few words: of a section what says its kind."""
    if isinstance(value, dict):
        kind = next((key for key in ("name", "objective") if key in value), None)
        return f"{path} off" if kind is None else f"{path}.{kind}={value[kind]}"
    return f"{path}={'null' if value is None else value}"


def _augmentations(settings: BaseModel, path: str = "") -> Iterator[tuple[str, AugmentationSettings]]:
    """Every augmentation in a config, by its dotted path; not those of pairs of views, which the network refuses."""
    if getattr(settings, "objective", None) == "contrastive":
        return
    for name in type(settings).model_fields:
        value, inner = getattr(settings, name), f"{path}.{name}" if path else name
        if isinstance(value, AugmentationSettings):
            yield inner, value
        elif isinstance(value, BaseModel):
            yield from _augmentations(value, inner)
