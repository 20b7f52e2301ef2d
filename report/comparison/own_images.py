"""What a comparison must know of the images before its runs begin."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from configs.schema import RunConfig
from data.image_set import ImageSet
from data.prepare import prepare


class OwnImages:
    """The images that configs name, each read once; their number and their classes' names are kept.

    Args:
        data_root: where data sets are kept.
    """

    def __init__(self, data_root: Path | None) -> None:
        self._data_root = data_root
        self._found: dict[str, tuple[int, Sequence[str]]] = {}

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

    def _facts(self, config: RunConfig) -> tuple[int, Sequence[str]]:
        key = config.data.model_dump_json()
        if key not in self._found:
            images: ImageSet = prepare(config.data, config.data.split, config.seed, self._data_root)
            self._found[key] = len(images), images.class_names
        return self._found[key]
