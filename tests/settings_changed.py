"""One setting of a config changed at a time, found from the schema: every field has a value, and others beside it."""

from __future__ import annotations

from collections.abc import Iterator
from types import NoneType
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel, ValidationError

from configs.schema import RunConfig

Field = tuple[type[BaseModel], str]


def changed(config: RunConfig, without: set[str]) -> Iterator[tuple[Field, str, RunConfig]]:
    """Every setting of `config` with another value, as far as there is one that is valid beside the others.

    Yields its model and name, its dotted path, and the changed config. Sections in `without` are left alone.
    """
    for path, model, name, value in leaves(config, without):
        for other in others(value, model.model_fields[name].annotation):
            found = with_value(config, path, other)
            if found is not None and found != config:
                yield (model, name), ".".join(path), found
                break


def leaves(
    section: BaseModel, without: set[str], path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], type[BaseModel], str, Any]]:
    """Path, model, name and value of every setting that is no section."""
    for name in type(section).model_fields:
        value = getattr(section, name)
        if path or name not in without:
            if isinstance(value, BaseModel):
                yield from leaves(value, without, (*path, name))
            else:
                yield (*path, name), type(section), name, value


def fields_of(annotation: Any, without: set[str] = frozenset()) -> set[Field]:  # type: ignore[assignment]
    """Every setting that a type can hold, in sections of any kind."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        found: set[Field] = set()
        for name, field in annotation.model_fields.items():
            if name not in without:
                whole = get_origin(field.annotation) is tuple  # a list of sections is one setting
                found |= (not whole and fields_of(field.annotation)) or {(annotation, name)}
        return found
    return {field for part in get_args(annotation) for field in fields_of(part)}


def others(value: Any, annotation: Any) -> Iterator[Any]:
    """Values besides `value` that a setting of this type may have."""
    if isinstance(value, bool):
        yield not value
    elif isinstance(value, int):
        yield from (value + 1, value - 1, 2 * value, value // 2)
    elif isinstance(value, float):
        yield from (value / 2, 1 - value, value + 0.25, 2 * value, value + 1)
    elif isinstance(value, tuple):
        yield from (value[:-1], (*value, value[-1]) if value else (8,), [1])
    kinds = list(parts(annotation))
    if str in kinds and isinstance(value, str):
        yield f"{value}-other"
    for kind in kinds:
        if get_origin(kind) is Literal:
            yield from (choice for choice in get_args(kind) if choice != value)
        if value is None:
            yield from {int: (2,), str: ("other",), float: (0.3,), tuple: ([0.5, 0.3, 0.2],)}.get(
                get_origin(kind) or kind, ()
            )
    if value is not None and NoneType in kinds:
        yield None


def parts(annotation: Any) -> Iterator[Any]:
    """The members of a union, however deep."""
    inner = [part for part in get_args(annotation) if get_origin(annotation) not in (Literal, tuple)]
    if not inner:
        yield annotation
    for part in inner:
        yield from parts(part) if get_origin(part) is not tuple else (part,)


def with_value(config: RunConfig, path: tuple[str, ...], value: Any) -> RunConfig | None:
    """The config with another value at `path`; None where it is not valid."""
    content = config.model_dump(mode="python")
    place = content
    for part in path[:-1]:
        place = place[part]
    place[path[-1]] = value
    try:
        return type(config).model_validate(content)
    except ValidationError:
        return None
