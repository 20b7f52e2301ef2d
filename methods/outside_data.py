"""What a run needs beside its images, looked for before these are read: that may take long."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel

from data.feature_files import check_there
from models.pretrained import load_network
from models.pretrained_settings import SpacesSettings
from parts.given_features import FeaturesSettings


def check_outside_data(config: BaseModel) -> None:
    """Whether the networks of others and the files of features that a config names are to be had.

    Raises:
        ModelError: when a network or its weights are not.
        DataError: when a file of features is not there.
    """
    for section in _sections(config):
        if isinstance(section, SpacesSettings):
            for network in section.networks:
                load_network(network)
    for file in feature_files(config):
        check_there(file)


def feature_files(config: BaseModel) -> list[Path]:
    """The files of features that a config names."""
    return [file for section in _sections(config) if isinstance(section, FeaturesSettings) for file in section.files]


def _sections(config: BaseModel) -> Iterator[BaseModel]:
    yield config
    for name in type(config).model_fields:
        value = getattr(config, name)
        if isinstance(value, BaseModel):
            yield from _sections(value)
