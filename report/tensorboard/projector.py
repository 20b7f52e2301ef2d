"""Files of TensorBoard's embedding projector: points, their thumbnails and what is known of each.

`SummaryWriter.add_embedding` forgets the embeddings of the run before a resume and writes the thumbnails anew
for each embedding. File formats: tensorboard/plugins/projector/projector_config.proto.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch.nn.functional as F
from google.protobuf import text_format  # type: ignore[import-untyped]
from jaxtyping import Float, UInt8
from PIL import Image
from tensorboard.plugins.projector.projector_config_pb2 import (  # type: ignore[import-untyped]
    ProjectorConfig,
)
from torch import Tensor

from report.tiles import grid, to_rgb
from system.names import printable

CONFIG = "projector_config.pbtxt"
FILES = "projector"
SPRITE = "thumbnails.png"
LARGEST_THUMBNAIL = 48
"""Pixels a side: 2,000 thumbnails stay within the 8,192 pixels a side that browsers take."""


class Projector:
    """The embeddings of one run, all of the same images.

    Args:
        folder: TensorBoard's folder of the run.
        images: (n, c, h, w), uint8, the images whose embeddings are shown; None where there is nothing to look at.
        anew: forget the embeddings of an earlier run.

    Raises:
        OSError: here and in `add`, when the disk refuses.
    """

    def __init__(self, folder: Path, images: UInt8[Tensor, "n c h w"] | None, anew: bool) -> None:
        self._folder = folder
        self._config = ProjectorConfig()
        if not anew and (folder / CONFIG).exists():
            text_format.Parse((folder / CONFIG).read_text("utf-8"), self._config)
        (folder / FILES).mkdir(parents=True, exist_ok=True)
        if anew:
            (folder / CONFIG).unlink(missing_ok=True)
        self._thumbnail = None if images is None else write_sprite(images, folder / FILES / SPRITE)

    def add(self, name: str, embedding: Float[Tensor, "n d"], columns: Mapping[str, Sequence[object]]) -> None:
        """Show `embedding` as `name`, in place of an older one of that name.

        `columns` holds, by its heading, what is known of every point: its cluster, its class.
        """
        points, metadata = f"{FILES}/{name}.tsv", f"{FILES}/{name}-metadata.tsv"
        np.savetxt(self._folder / points, embedding.numpy(), fmt="%.6g", delimiter="\t")
        (self._folder / metadata).write_text(metadata_table(columns), encoding="utf-8")
        kept = [info for info in self._config.embeddings if info.tensor_name != name]
        del self._config.embeddings[:]
        self._config.embeddings.extend(kept)
        info = self._config.embeddings.add(tensor_name=name, tensor_path=points, metadata_path=metadata)
        if self._thumbnail is not None:
            info.sprite.image_path = f"{FILES}/{SPRITE}"
            info.sprite.single_image_dim.extend(self._thumbnail)
        (self._folder / CONFIG).write_text(text_format.MessageToString(self._config), "utf-8")


def metadata_table(columns: Mapping[str, Sequence[object]]) -> str:
    """Tab-separated, one point a line, below a line of headings unless there is a single column."""
    rows = [[_cell(value) for value in row] for row in zip(*columns.values(), strict=True)]
    heading = [list(columns)] if len(columns) > 1 else []
    return "".join("\t".join(row) + "\n" for row in heading + rows)


def write_sprite(images: UInt8[Tensor, "n c h w"], path: Path) -> tuple[int, int]:
    """All thumbnails in one picture, ⌈√n⌉ a line without gaps. Returns a thumbnail's (width, height)."""
    small = thumbnails(images)
    columns = math.ceil(math.sqrt(len(small)))
    Image.fromarray(grid(small, columns, gap=0).permute(1, 2, 0).numpy()).save(path)
    return small.shape[3], small.shape[2]


def thumbnails(images: UInt8[Tensor, "n c h w"]) -> UInt8[Tensor, "n 3 height width"]:
    """The images in three channels, averaged down to at most `LARGEST_THUMBNAIL` pixels a side."""
    rgb = to_rgb(images)
    shrink = max(images.shape[2:]) / LARGEST_THUMBNAIL
    if shrink <= 1:
        return rgb
    size = [max(1, round(side / shrink)) for side in images.shape[2:]]
    return F.interpolate(rgb.float(), size, mode="area").round().to(rgb.dtype)


def _cell(value: object) -> str:
    # A tab or a line break in a class's name would shift all that follows.
    return printable(str(value))
