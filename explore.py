"""Look at images before they are clustered, or at clusters after: `python explore.py fashion-mnist --out figures/look`.

The tables go to stdout, everything else to stderr.
"""

from __future__ import annotations

from system.start import quiet_imports

if __name__ == "__main__":
    quiet_imports()

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from system.command import App, NoCache, leave

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from torch import Tensor

    from configs.schema import DataSettings
    from data.image_set import ImageSet
    from report.exploration import Groups
    from report.figures.principal_components import Spectrum
    from report.finished_run import FinishedRun
    from report.network_layers import Layer

SPLITS = ("train", "validation", "test", "all")
MOST = 20_000
"""Images up to which unusual ones are looked for unasked: half a minute."""
COMPONENTS = 40
"""Principal components that are drawn."""

LARGEST, SAMPLE = 4096, 2000
"""A matrix of more rows and columns takes minutes to decompose; that many images, drawn with seed 0, take its place."""

app = App()


@app.command()
def main(
    data: Annotated[str, typer.Argument(metavar="DATA", help="A data set's name, or a path, as for train.py --data.")],
    split: Annotated[str, typer.Option(help=f"{', '.join(SPLITS)}.")] = "train",
    checkpoint: Annotated[
        Path | None, typer.Option(help="A file that train.py wrote: clusters instead of classes, and its network.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Draw figures into this folder.")] = None,
    unusual: Annotated[
        bool | None,
        typer.Option(help=f"Look for near-duplicates and outliers; by default among up to {MOST:,} images."),
    ] = None,
    data_root: Annotated[Path | None, typer.Option(help="Where the data sets are kept.")] = None,
    no_cache: NoCache = False,
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="How pictures are read: data.labels=none.")
    ] = None,
) -> None:
    """Print what a set of images holds, by class or, with a checkpoint, by cluster."""
    # Here, where torch and all that stands on it are needed: --help answers without these seconds.
    from data.image_set import DataError
    from data.prepare import reading_of
    from data.sources import load
    from data.subsets import drop_duplicates
    from evaluation.predictions import EvaluationError
    from report.exploration import by_class, group_table, layer_table, pixel_counts, set_table
    from report.figures.files import draw_files, say_drawn
    from report.finished_run import PROBLEMS
    from report.unusual import unusual_tables
    from system.streams import as_printed, say

    try:
        images = load(data, split, data_root, reading_of(data_settings(data, set_ or [])))
        if images.was_read is not None:
            say(images.was_read.line())
        if images.are_points:
            raise DataError(f"{data} holds points, and explore.py looks at pictures. train.py and eval.py take points.")
        fitted = None if checkpoint is None else open_checkpoint(checkpoint, images)
        groups = by_class(images) if fitted is None else clusters_of(fitted, images)
    except PROBLEMS as error:
        raise leave([str(error)]) from error
    layers = [] if fitted is None else layers_in(fitted, images)
    counts = pixel_counts(images.images, groups)
    tables = [set_table(images, counts, duplicates=len(images) - len(drop_duplicates(images)))]
    if unusual or (unusual is None and len(images) <= MOST):
        tables += unusual_tables(images)
    if groups.kind != "set":
        shown = tuple(as_printed(name) for name in groups.names)
        tables.append(group_table(replace(groups, names=shown), counts))
    if layers:
        tables.append(layer_table(layers))
    print("\n\n".join(tables))
    if out is not None:
        title = "" if fitted is None else f"{fitted.config.method}, {images.name}"
        texts = (images.name, *groups.names, title)
        try:
            undrawn = say_drawn(out, draw_files(figures_of(images, groups, counts, title, layers), out, texts))
        except EvaluationError as error:
            raise leave([str(error)]) from error
        if undrawn:
            raise leave(undrawn, 1)


def data_settings(name: str, assignments: Sequence[str]) -> DataSettings:
    """The settings of a run's section `data`, some of which are assigned.

    Raises:
        ConfigError: when there is no such setting, or it does not take this value.
    """
    from configs.load import set_values, validate
    from configs.schema import RunConfig

    raw: dict[str, Any] = {"method": "", "data": {"name": name}}
    set_values(raw, assignments, RunConfig)
    return validate(RunConfig, raw, "--set").data


def open_checkpoint(path: Path, images: ImageSet) -> FinishedRun:
    """The finished run in `path`.

    Raises:
        CheckpointError: when there is none.
        DataError: when it cannot take `images`.
    """
    from report.finished_run import check_shape, open_run

    fitted = open_run(path)
    check_shape(images, fitted.checkpoint, path)
    return fitted


def clusters_of(fitted: FinishedRun, images: ImageSet) -> Groups:
    """The method's own answer for `images`."""
    from report.exploration import by_cluster

    return by_cluster(fitted.method.assign(images.images), fitted.method.clusters)


def layers_in(fitted: FinishedRun, images: ImageSet) -> list[Layer]:
    """Of the method's networks; none where it has none."""
    from methods.base import NetworkMethod
    from report.network_layers import layers_of

    if not isinstance(fitted.method, NetworkMethod):
        return []
    return layers_of(fitted.method.networks(), tuple(images.images.shape[1:]))


def figures_of(
    images: ImageSet, groups: Groups, counts: Tensor, title: str, layers: Sequence[Layer]
) -> Mapping[str, Callable[[], Figure | None]]:
    """File name without its ending -> what draws it; nothing, where it is of other images' groups."""
    from report.figures.brightness import brightness
    from report.figures.group_counts import group_counts
    from report.figures.group_samples import group_samples, one_per_group
    from report.figures.mean_images import mean_images
    from report.figures.network import network
    from report.figures.pixel_histogram import pixel_histogram
    from report.figures.principal_components import explained_variance, principal_components

    decomposed = cache(partial(decompose, images))
    by_group: dict[str, Callable[[], Figure | None]] = {}
    for kind, suffix in (("set", ""), ("class", "_by_class"), ("cluster", "_by_cluster")):
        own = kind == groups.kind
        by_group[f"samples{suffix}"] = partial(group_samples, images, groups) if own else nothing
        by_group[f"one_per_{kind}"] = partial(one_per_group, images, groups) if own else nothing
    return {
        "group_counts": partial(group_counts, images, groups),
        "mean_images": partial(mean_images, images, groups),
        "brightness": partial(brightness, images, groups),
        "pixel_histogram": partial(pixel_histogram, images, counts),
        **by_group,
        "explained_variance": lambda: explained_variance(images, decomposed()),
        "principal_components": lambda: principal_components(images, decomposed()),
        "network": lambda: network(title, tuple(images.images.shape[1:]), layers),
    }


def nothing() -> None:
    """No figure."""


def decompose(images: ImageSet) -> Spectrum | None:
    """The principal components of the pixels; None where all images are equal."""
    from estimators.pca import PCA
    from estimators.settings import PCASettings
    from report.figures.principal_components import Spectrum
    from report.selection import seeded_draw

    pixels = images.images
    if min(len(pixels), pixels[0].numel()) > LARGEST:
        pixels = pixels[seeded_draw(len(pixels), SAMPLE)]
    points = pixels.flatten(1).float()
    pca = PCA(PCASettings(components=min(COMPONENTS, *points.shape)))
    pca.fit(points, seed=0)
    ratios, components = pca.arrays["ratios"], pca.arrays["components"].float()
    if ratios[0] == 0:
        return None
    varying = components[ratios[: len(components)] > 1e-9 * ratios[0]]
    return Spectrum(ratios, varying.reshape(-1, *pixels.shape[1:]), len(pixels))


if __name__ == "__main__":
    app()
