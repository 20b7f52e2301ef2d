"""What an exploration prints: tables of a data set, its groups and a network, for a terminal of 80 columns."""

from __future__ import annotations

from collections.abc import Sequence

from jaxtyping import Int64
from rich.table import Table
from rich.text import Text
from torch import Tensor

from data.image_set import ImageSet
from evaluation.exploration import Groups, MeanSD, channel_names, mean_and_sd
from evaluation.network_layers import Layer
from evaluation.rows import MISSING
from evaluation.terminal import add_row, printed, ruled_table
from terminal.names import printable


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
    rows += [
        ("duplicates", f"{duplicates:,} equal to an earlier image in every pixel"),
        ("found in", images.origin or MISSING),
    ]
    for row in rows:
        add_row(table, row)
    return printed([table])


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
