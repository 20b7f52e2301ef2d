"""How a run's config is put together: a YAML file, then --set, then the flags. All errors name the key.

Values stay text until the schema reads them, wherever they come from: see `configs.values`.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from configs.schema import RunConfig
from configs.text_yaml import parse_text, scalar_text
from configs.values import Misread, is_scalar, read

FOLDER = Path(__file__).resolve().parent

C = TypeVar("C", bound=RunConfig)


class ConfigError(Exception):
    """A config that cannot be read or is not valid. The message is for the person who wrote it."""


def default_config(method: str) -> tuple[dict[str, Any], str]:
    """A method's default settings, and where they stand.

    A two-stage method has no file of its own: its settings are those of its parts, so "ae-gmm" is
    two-stage/ae.yaml and two-stage/gmm.yaml.

    Raises:
        ConfigError: when there is no such file.
    """
    own = FOLDER / f"{method}.yaml"
    if own.is_file():
        return read_config(own), str(own)
    files = [FOLDER / "two-stage" / f"{part}.yaml" for part in method.split("-")]
    merged: dict[str, Any] = {"method": method}
    for file in files:
        merged = _laid_over(merged, read_yaml(file))
    return merged, " and ".join(map(str, files))


def read_config(path: Path) -> dict[str, Any]:
    """The settings in a config file, laid over those of the file that it names as its `base`, if it names one.

    Raises:
        ConfigError: when either cannot be read, or a file is its own base in the end.
    """
    files = [path.resolve()]
    layers = [read_yaml(path)]
    while (base := read(layers[-1].pop("base", None), str | None)) is not None:
        if not isinstance(base, str):
            raise ConfigError(f"base, in {files[-1]}, takes the name of a config file; received {base!r:.80}.")
        files.append((files[-1].parent / base).resolve())
        if files[-1] in files[:-1]:
            raise ConfigError(f"{files[-1]} is its own base, by way of {files[-2]}: take `base` out of one of them.")
        try:
            layers.append(read_yaml(files[-1]))
        except ConfigError as error:
            raise ConfigError(f"{error} (the base of {files[-2]}; its place is told from there)") from error
    settings = layers.pop()
    while layers:
        settings = _laid_over(settings, layers.pop())
    return settings


def _laid_over(base: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """Both, `own` where they differ; a section of another kind takes the whole place of the base's."""
    merged = dict(base)
    for key, value in own.items():
        inner = base.get(key)
        if isinstance(inner, Mapping) and isinstance(value, Mapping) and _same_kind(inner, value):
            value = _laid_over(inner, value)
        merged[key] = value
    return merged


def _same_kind(base: Mapping[str, Any], own: Mapping[str, Any]) -> bool:
    return all(base.get(key) == own[key] for key in ("name", "objective") if key in own)


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file; its values are text.

    Raises:
        ConfigError: when the file is missing, no YAML, or no mapping.
    """
    return _mapping(path, parse_text)


def read_written(path: Path) -> dict[str, Any]:
    """The settings in a file that `to_yaml` filled; its values have their types.

    Raises:
        ConfigError: when the file is missing, no YAML, or no mapping.
    """
    return _mapping(path, yaml.safe_load)


def _mapping(path: Path, parse: Callable[[str], Any]) -> dict[str, Any]:
    try:
        content = parse(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read the config {path}: {error}") from error
    except (yaml.YAMLError, ValueError) as error:
        raise ConfigError(f"{path} is no valid YAML: {error}") from error
    if not isinstance(content, dict):
        raise ConfigError(f"{path} must hold settings as `name: value`; it holds {content!r:.80}.")
    return content


def set_values(raw: dict[str, Any], assignments: Sequence[str], schema: type[BaseModel]) -> None:
    """Apply `section.key=value` strings to `raw`.

    A value is the text after the "=", or a list or a section in YAML where the schema has one. What says of which kind
    a section is, such as `model.name`, comes first: what `raw` has there for another kind goes, but for what the
    new kind takes over (`Settings.taken_over`).

    Raises:
        ConfigError: when a string has no "=", or its path leads through a value.
    """
    values = [_assigned(assignment, schema) for assignment in assignments]
    values.sort(key=lambda pair: _first_kind(schema, pair[0]) is None)
    for path, value in values:
        section, _, key = path.rpartition(".")
        kind = _first_kind(schema, path)
        before = {} if kind is None else _at(raw, section)
        if kind is not None and before.get(key, kind) != value:
            set_value(raw, section, {name: before[name] for name in _taken_over(schema, path, value) if name in before})
        set_value(raw, path, value)


def set_value(raw: dict[str, Any], path: str, value: Any) -> None:
    """Put `value` at a dotted path, making sections on the way.

    Raises:
        ConfigError: when the path leads through a value.
    """
    section, _, key = path.rpartition(".")
    try:
        _at(raw, section)[key] = value
    except ConfigError as error:
        raise ConfigError(f"the setting {path}: {error}") from error


def _assigned(assignment: str, schema: type[BaseModel]) -> tuple[str, Any]:
    path, equals, text = (part.strip() for part in assignment.partition("="))
    if not equals or not all(path.split(".")):
        raise ConfigError(f"a setting is given as section.key=value; received {assignment!r}.")
    fields = _fields(schema, path)
    # In a name a colon, a bracket or "#" is a letter like any other.
    if fields and all(is_scalar(field.annotation) for field in fields):
        return path, scalar_text(text)
    try:
        return path, parse_text(text)
    except yaml.YAMLError as error:
        raise ConfigError(
            f"the setting {path}: {text!r:.80} is no valid YAML ({getattr(error, 'problem', error)})."
        ) from error


def _at(raw: dict[str, Any], path: str) -> dict[str, Any]:
    """The section at a dotted path, made where there is none."""
    for section in path.split(".") if path else ():
        inner = raw.setdefault(section, {})
        if not isinstance(inner, dict):
            raise ConfigError(f"{section} is a value, {inner!r}, not a section.")
        raw = inner
    return raw


def _fields(schema: type[BaseModel], path: str) -> list[FieldInfo]:
    """What a dotted path can mean, a field for every kind that its section can be of; none for an unknown path."""
    *sections, key = path.split(".")
    models = [schema]
    for section in sections:
        fields = [model.model_fields[section] for model in models if section in model.model_fields]
        models = [inner for field in fields for inner in _models_in(field.annotation)]
    return [model.model_fields[key] for model in models if key in model.model_fields]


def _taken_over(schema: type[BaseModel], path: str, kind: Any) -> tuple[str, ...]:
    """What a section keeps when the setting at `path` makes it one of this kind."""
    section, _, _ = path.rpartition(".")
    models = [inner for field in _fields(schema, section) for inner in _models_in(field.annotation)]
    return next((getattr(model, "taken_over", ()) for model in models if _is_of_kind(model, kind)), ())


def _first_kind(schema: type[BaseModel], path: str) -> Any:
    """Of which kind a section is where it does not say; None where the setting at `path` is not what says it."""
    section, _, _ = path.rpartition(".")
    models = [inner for field in _fields(schema, section) for inner in _models_in(field.annotation)]
    kinds = _fields(schema, path)
    several = len(kinds) == len(models) > 1 and all(get_args(kind.annotation) == (kind.default,) for kind in kinds)
    return kinds[0].default if several else None


def validate(schema: type[C], raw: Mapping[str, Any], source: str) -> C:
    """`raw` as a config of `schema`.

    Raises:
        ConfigError: naming every key that is unknown or has a wrong value, and `source`.
    """
    try:
        return schema.model_validate(raw)
    except ValidationError as error:
        details = error.errors(include_url=False)
        places = [detail["loc"] for detail in details]
        # What is wrong within a list or a section says enough of the whole.
        deepest = [d for d in details if not any(loc[: len(d["loc"])] == d["loc"] != loc for loc in places)]
        lines = dict.fromkeys(_explain(schema, detail) for detail in deepest)
        raise ConfigError(f"the config from {source} is not valid:\n" + "\n".join(lines)) from error


def to_yaml(config: RunConfig) -> str:
    """The resolved config, every setting written out."""
    return dump(config.model_dump(mode="json"))


def dump(content: Mapping[str, Any]) -> str:
    """A config's content as YAML."""
    return yaml.safe_dump(dict(content), sort_keys=False)


def differences(before: Mapping[str, Any], after: Mapping[str, Any], prefix: str = "") -> list[str]:
    """What differs between two configs, one "section.key: old → new" each."""
    found: list[str] = []
    for key in dict.fromkeys([*before, *after]):
        old, new = before.get(key), after.get(key)
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            found += differences(old, new, f"{prefix}{key}.")
        elif old != new:
            found.append(f"{prefix}{key}: {old!r} → {new!r}")
    return found


def short_name(path: str, paths: Iterable[str]) -> str:
    """A setting's own name, or its whole dotted path where another one of `paths` is called so too."""
    name = path.rpartition(".")[2]
    return path if sum(other.rpartition(".")[2] == name for other in paths) > 1 else name


def _explain(schema: type[BaseModel], detail: Any) -> str:
    """One line on one invalid key."""
    location = [str(part) for part in detail["loc"]]
    if detail["type"] != "extra_forbidden":
        name = ".".join(_follow(schema, location)[0])
        received = detail["input"]
        if detail["type"] == "value_error" and isinstance(received, Mapping):
            # Settings that do not go together. Nobody wrote the section as a whole: it would hide what is said of it.
            return f"  {name}{': ' if name else ''}{detail['ctx']['error']}."
        if isinstance(received, Misread):
            return f"  {name}: received {received.value!r:.80}. {received.allowed}."
        # pydantic says "Value error, " before the text of our own errors.
        return f"  {name}: received {received!r:.80}. {detail.get('ctx', {}).get('error', detail['msg'])}."
    path, known = _follow(schema, location[:-1])
    near = difflib.get_close_matches(location[-1], known, n=1)
    hint = f" Did you mean {near[0]}?" if near else ""
    return f"  {'.'.join([*path, location[-1]])}: no such setting.{hint} Allowed: {', '.join(known)}."


def _follow(schema: type[BaseModel], location: Sequence[str]) -> tuple[list[str], list[str]]:
    """The keys that lead to a place in a config, and those that the section there knows.

    In a location that pydantic gives, a section that can be one of several kinds is followed by the kind, such as
    "conv" after "model": that is no key, but tells which keys are known.
    """
    here: list[type[BaseModel]] = [schema]
    path = []
    for part in location:
        if any(part in model.model_fields for model in here):
            path.append(part)
            here = [
                candidate
                for model in here
                if part in model.model_fields
                for candidate in _models_in(model.model_fields[part].annotation)
            ]
        elif part.isdigit():  # the place in a list
            path.append(part)
        else:
            here = [model for model in here if _is_of_kind(model, part)] or here
    return path, sorted({key for model in here for key in model.model_fields})


def _is_of_kind(model: type[BaseModel], kind: str) -> bool:
    return any(field.default == kind and get_args(field.annotation) == (kind,) for field in model.model_fields.values())


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in _models_in(part)]
