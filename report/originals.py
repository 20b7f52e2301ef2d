"""The files that images were read from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from data.image_set import ImageSet


def files_of(images: ImageSet) -> Sequence[str]:
    """Where every image came from; its position where nothing is known of it."""
    return [str(i) for i in range(len(images))] if images.names is None else images.names


class Originals:
    """The files of a folder's images.

    Args:
        images: read from a folder, or from something else that has no file for each image.
    """

    def __init__(self, images: ImageSet) -> None:
        self.files = files_of(images)
        folder = Path(images.origin).absolute() if images.origin else None
        self.folder = folder if folder is not None and folder.is_dir() else None

    def path(self, position: int) -> Path | None:
        """The file of an image; None where it is a row of a table, a member of an archive, or gone."""
        if self.folder is None:
            return None
        path = self.folder / self.files[position]
        return path if path.is_file() else None
