"""YAML whose values stay text: what `on`, `010` or `2024-01-01` is, the reader's schema decides."""

from __future__ import annotations

import re
from collections.abc import Hashable
from typing import Any

import yaml


class TextLoader(yaml.SafeLoader):
    """Mappings, lists and text; anchors and `<<` as ever. Tags, and a key that stands twice, are refused."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        keys: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.constructor.ConstructorError(None, None, "a key must be a name", key.start_mark)
            if key.value in keys:
                raise yaml.constructor.ConstructorError(None, None, f"{key.value!r} stands here twice", key.start_mark)
            keys.add(key.value)
        return super().construct_mapping(node, deep)


TextLoader.yaml_implicit_resolvers = {"<": [("tag:yaml.org,2002:merge", re.compile("<<"))]}
TextLoader.yaml_constructors = {  # not those that pyyaml keeps for other tags
    tag: yaml.SafeLoader.yaml_constructors[tag]
    for tag in ("tag:yaml.org,2002:str", "tag:yaml.org,2002:seq", "tag:yaml.org,2002:map", None)
}


def parse_text(text: str) -> Any:
    """The content of a YAML document: text, or dictionaries and lists of it.

    Raises:
        yaml.YAMLError: when it is none, has tags such as `!!int`, or a key stands twice in one mapping.
    """
    try:
        return yaml.load(text, TextLoader)
    except RecursionError as error:
        raise yaml.YAMLError("it is nested too deeply") from error


def scalar_text(text: str) -> str:
    """The text itself or, where all of it stands in quotes, what they enclose."""
    if text[:1] not in ("'", '"'):
        return text
    try:
        inner = parse_text(text)
    except yaml.YAMLError:
        return text
    return inner if isinstance(inner, str) else text
