"""What a set of images holds, before anything is trained: sizes, pixels and brightness by group, average images.

A group is a class where the images have labels, or a cluster where a method has assigned them. Nothing here
reaches training.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float, Float64, Int64, UInt8
from rich.table import Table
from rich.text import Text
from torch import Tensor

from data.image_set import ImageSet
from methods.base import Assignments
from report.network_layers import Layer
from report.rows import MISSING
from report.terminal import add_row, printed, ruled_table
from system.names import printable

SHOWN = 5
"""Formats, sizes and reasons that are named."""
LEVELS = 256
"""Values that a pixel can have."""

CHANNELS = {1: ("grey",), 3: ("red", "green", "blue"), 4: ("red", "green", "blue", "alpha")}

VALUES_AT_ONCE = 2**22
"""Pixels that are widened to 8 bytes at a time, so that a large data set is never copied whole."""


@dataclass(frozen=True)
class Groups:
    """A division of n images into g named groups, some of which may be empty.

    Attributes:
        kind: what a group is; "set" where all images are one group for want of labels.
        labels: (n,), int64, the group of every image, 0 to g - 1.
        names: the g groups' names.
    """

    kind: Literal["class", "cluster", "set"]
    labels: Int64[Tensor, " n"]
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.names)

    @property
    def sizes(self) -> Int64[Tensor, " g"]:
        """The number of images of every group."""
        return torch.bincount(self.labels, minlength=len(self))


def by_class(images: ImageSet) -> Groups:
    """The classes, or one group of all images where there are no labels."""
    if images.labels is None:
        return Groups("set", torch.zeros(len(images), dtype=torch.int64), ("all images",))
    return Groups("class", images.labels, images.class_names)


def by_cluster(assignments: Assignments, clusters: int) -> Groups:
    """The `clusters` clusters of a method's answer."""
    return Groups("cluster", assignments.labels, tuple(f"cluster {j}" for j in range(clusters)))


def pixel_counts(images: UInt8[Tensor, "n c h w"], groups: Groups) -> Int64[Tensor, "g c 256"]:
    """How often every pixel value from 0 to 255 occurs, by group and channel."""
    channels = images.shape[1]
    cells = len(groups) * channels * LEVELS
    counts = torch.zeros(cells, dtype=torch.int64)
    channel = torch.arange(channels)[:, None]
    for pixels, labels in _chunks(images, groups.labels):
        cell = ((labels[:, None, None] * channels + channel) * LEVELS) + pixels.flatten(2)
        counts += torch.bincount(cell.flatten(), minlength=cells)
    return counts.view(len(groups), channels, LEVELS)


def channel_names(channels: int) -> tuple[str, ...]:
    """What the channels are called: by colour where there are 1, 3 or 4, else by number."""
    return CHANNELS.get(channels, tuple(str(channel) for channel in range(channels)))


class MeanSD(NamedTuple):
    """Mean and standard deviation of pixels from 0 to 1; NaN where there is no pixel."""

    mean: float
    sd: float


def mean_and_sd(counts: Int64[Tensor, " 256"]) -> MeanSD:
    """Of the pixels that `counts` has counted by value: exact, and over all of them (divided by n)."""
    values = torch.arange(LEVELS, dtype=torch.float64) / (LEVELS - 1)
    weights = counts / counts.sum().double()
    mean = (weights * values).sum()
    return MeanSD(float(mean), float((weights * (values - mean).square()).sum().sqrt()))


def brightness(images: UInt8[Tensor, "n c h w"]) -> Float64[Tensor, " n"]:
    """The mean pixel of every image, 0 (black) to 1 (white)."""
    sums = images.flatten(1).sum(dim=1, dtype=torch.int64)
    return sums.double() / (images[0].numel() * (LEVELS - 1))


def mean_images(images: UInt8[Tensor, "n c h w"], groups: Groups) -> Float[Tensor, "g c h w"]:
    """The average image of every group, pixels from 0 to 1; NaN for an empty group."""
    sums = torch.zeros(len(groups), *images.shape[1:], dtype=torch.float64)
    for pixels, labels in _chunks(images, groups.labels):
        sums.index_add_(0, labels, pixels.double())
    return (sums / (groups.sizes[:, None, None, None] * (LEVELS - 1))).float()


def draws(groups: Groups, count: int, seed: int = 0) -> list[Int64[Tensor, " m"]]:
    """At most `count` positions of every group, drawn at random, the same for the same seed.

    The global random state is neither read nor changed.
    """
    order = torch.randperm(len(groups.labels), generator=torch.Generator().manual_seed(seed))
    shuffled = groups.labels[order]
    return [order[(shuffled == group).nonzero().flatten()[:count]] for group in range(len(groups))]


def _chunks(images: Tensor, labels: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    rows = max(1, VALUES_AT_ONCE // images[0].numel())
    return zip(torch.split(images, rows), torch.split(labels, rows), strict=True)


def set_table(images: ImageSet, counts: Int64[Tensor, "g c 256"], duplicates: int) -> str:
    """Number, size and pixels of the images, in two columns.

    Args:
        images: the set.
        counts: its pixels by value, from `pixel_counts`.
        duplicates: how many images equal an earlier one.
    """
    _, channels, height, width = images.images.shape
    title = Text(printable(f"{images.name} ({images.split})"))
    table = Table(title=title, title_justify="left", box=None, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    names = channel_names(channels)
    rows = [
        ("images", f"{len(images):,}"),
        ("size", f"{height}×{width} pixels (height × width)"),
        ("channels", f"{channels} ({', '.join(names)})"),
        ("pixels, 0 to 1", _mean_sd(mean_and_sd(counts.sum(dim=(0, 1))))),
    ]
    if channels > 1:
        by_channel = counts.sum(dim=0)
        rows += [(f"  {name}", _mean_sd(mean_and_sd(by_channel[j]))) for j, name in enumerate(names)]
    rows += _files(images)
    rows += [
        ("duplicates", f"{duplicates:,} equal to an earlier image in every pixel"),
        ("found in", images.origin or MISSING),
    ]
    for row in rows:
        add_row(table, row)
    return printed([table])


def _files(images: ImageSet) -> list[tuple[str, str]]:
    """Of pictures in files: formats, sizes, and what was left out and why."""
    read = images.was_read
    if read is None or images.names is None:
        return []
    endings = Counter(PurePath(name).suffix.lower() for name in images.names)
    rows = [("formats", _counted({ending: count for ending, count in endings.most_common() if ending}))]
    if read.sizes:
        rows.append(("sizes found", _counted({f"{h}×{w}": count for h, w, count in read.sizes})))
    reasons = Counter(file.reason for file in read.left_out)
    if reasons:
        rows.append(("left out", _counted(dict(reasons.most_common()))))
        first = [printable(file.name) for file in read.left_out[:SHOWN]]
        rows.append(("", ", ".join(first) + (", …" if len(read.left_out) > SHOWN else "")))
    return [row for row in rows if row[1]]


def _counted(counts: Mapping[str, int]) -> str:
    """ "png 300, jpg 20 and 3 others": the first of them."""
    shown = [f"{what} {count:,}" for what, count in [*counts.items()][:SHOWN]]
    more = len(counts) - SHOWN
    return ", ".join(shown) + (f" and {more:,} others" if more > 0 else "")


def group_table(groups: Groups, counts: Int64[Tensor, "g c 256"]) -> str:
    """A row a class or cluster: images, share, mean and sd of its pixels over all channels."""
    table = ruled_table(f"By {groups.kind} (pixels from 0 to 1)")
    table.add_column(groups.kind.capitalize(), overflow="ellipsis", no_wrap=True, max_width=44)
    for heading in ("Images", "Share", "Mean", "SD"):
        table.add_column(heading, justify="right", no_wrap=True)
    sizes = groups.sizes.tolist()
    for name, size, pixels in zip(groups.names, sizes, counts.sum(dim=1), strict=True):
        found = [f"{value:.3f}" for value in mean_and_sd(pixels)] if size else [MISSING, MISSING]
        share = f"{100 * size / len(groups.labels):.1f} %"
        add_row(table, [name, f"{size:,}", share, *found])
    return printed([table])


def layer_table(layers: Sequence[Layer]) -> str:
    """A row a layer: the shape that it gives out and its number of parameters; below, the sum."""
    table = ruled_table("Network")
    table.add_column("Part", no_wrap=True)
    table.add_column("Layer", overflow="fold")
    table.add_column("Output", justify="right", no_wrap=True)
    table.add_column("Parameters", justify="right", no_wrap=True)
    before = ""
    for layer in layers:
        part = layer.network if layer.network != before else ""
        before = layer.network
        add_row(table, [part, layer.name, sides(layer.output), f"{layer.parameters:,}"])
    table.add_section()
    add_row(table, ["all", "", "", f"{sum(layer.parameters for layer in layers):,}"])
    return printed([table])


def sides(shape: Sequence[int]) -> str:
    """A shape as people write it: "16×14×14", "1,024"."""
    return "×".join(f"{side:,}" for side in shape)


def _mean_sd(pixels: MeanSD) -> str:
    return f"mean {pixels.mean:.4f}, sd {pixels.sd:.4f}"
