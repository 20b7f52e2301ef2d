"""What a comparison must know of the images before its runs begin."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from configs.schema import RunConfig
from data.image_set import DataError, ImageSet
from data.known_file import known_of
from data.prepare import prepare
from data.sources import names
from engine.checkpoint import Checkpoint
from engine.run_folder import other_data
from methods.points import config_for_points


class OwnImages:
    """The images that configs name, each read once; their number and their classes' names are kept.

    Args:
        data_root: where data sets are kept.
    """

    def __init__(self, data_root: Path | None) -> None:
        self._data_root = data_root
        self._found: dict[str, tuple[int, Sequence[str]]] = {}
        self._last: tuple[str, ImageSet] | None = None

    def count(self, config: RunConfig) -> int:
        """How many images are fitted.

        Raises:
            DataError: where they cannot be read.
        """
        return self._facts(config)[0]

    def classes(self, config: RunConfig) -> Sequence[str]:
        """The names of the classes; empty without labels.

        Raises:
            DataError: where the images cannot be read.
        """
        return self._facts(config)[1]

    def fitted(self, config: RunConfig, assignments: Sequence[str]) -> RunConfig:
        """The config as `train.py` fits it: `methods.points` changes one whose data are points.

        Args:
            config: as it is for images.
            assignments: "section.key=value" each, which the user gave.

        Raises:
            ConfigError: when points cannot have a setting.
        """
        if config.data.name in names():
            return config
        try:
            points = self._read(config).are_points
        except DataError:
            return config  # the run, if it is still to be made, says so
        return config_for_points(config, assignments)[0] if points else config

    def can_change(self, config: RunConfig) -> bool:
        """Whether it names files of a person's own."""
        return config.data.name not in names() or isinstance(config.known, str)

    def changes(self, config: RunConfig, checkpoint: Checkpoint) -> list[str]:
        """What of a person's own files has changed since this checkpoint of the config was made; for people.

        Of files that cannot be read nothing is said: the run is finished and needs them no more.
        """
        try:
            images = self._read(config)
            return other_data(checkpoint, images, known_of(config, images, data_root=self._data_root))
        except DataError:
            return []

    def _facts(self, config: RunConfig) -> tuple[int, Sequence[str]]:
        key = config.data.model_dump_json()
        if key not in self._found:
            images = self._read(config)
            self._found[key] = len(images), images.class_names
        return self._found[key]

    def _read(self, config: RunConfig) -> ImageSet:
        """The images that are fitted. The last ones are kept, for the next run on them."""
        key = f"{config.data.model_dump_json()} {config.seed}"
        if self._last is None or self._last[0] != key:
            self._last = key, prepare(config.data, config.data.split, config.seed, self._data_root)
        return self._last[1]
