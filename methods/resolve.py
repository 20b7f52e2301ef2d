"""Which config a run has: a method's defaults or a file, then single settings, then flags."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from configs.load import ConfigError, default_config, read_config, set_value, set_values, validate
from configs.schema import RunConfig
from data.image_set import DataError
from data.known_file import check_there
from methods.former_names import under_todays_name
from methods.registry import METHODS, canonical, check_known, check_method, method_names


def resolve_config(
    method: str | None, file: Path | None, assignments: Sequence[str], flags: Mapping[str, Any]
) -> RunConfig:
    """The run's config.

    Args:
        method: its name in any case, for the default settings; may be left out where `file` names it.
        file: a YAML file in place of the default settings, with what its `base` says beneath it.
        assignments: "section.key=value" each.
        flags: values by their dotted path; None leaves the setting alone.

    Raises:
        ConfigError: when the method is missing or unknown, or a setting is not valid; when labels are known, and the
            method cannot learn from them or their file is not there.
    """
    method = None if method is None else canonical(method)
    if file is not None:
        raw, source = under_todays_name(read_config(file)), str(file)
    elif method is not None:
        check_method(method)
        raw, source = default_config(method)
    else:
        raise ConfigError(f"name a method or a config file. Methods: {method_names()}.")
    named = raw["method"] = canonical(str(raw.get("method", method)))
    check_method(named)
    if method is not None and named != method:
        raise ConfigError(f"{source} is for method {named!r}; received the method {method!r}.")
    schema = METHODS[named].config
    set_values(raw, assignments, schema)
    for path, value in flags.items():
        if value is not None:
            set_value(raw, path, value)
    found = validate(schema, raw, f"{source} and the given settings" if assignments else source)
    if found.known:
        check_known(named)
        try:
            check_there(found.known)
        except DataError as error:
            raise ConfigError(str(error)) from error
    return found.completed
