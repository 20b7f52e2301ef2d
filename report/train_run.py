"""What `train.py` does once its options are read: the config, the images, the run's folder, the fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from configs.load import to_yaml
from configs.schema import RunConfig
from data.image_set import ImageSet
from data.known import Known
from data.known_file import known_of
from data.prepare import prepare
from engine.checkpoint import Checkpoint
from engine.checkpoints_folder import shared_phases
from engine.fit import fit
from engine.number_of_clusters import check_clusters, is_open, settled
from engine.processes import launch
from engine.progress import Display
from engine.run_folder import (
    alone,
    default_folder,
    earlier_run,
    list_left_out,
    saver,
    usual_config,
)
from methods.outside_data import check_outside_data
from methods.points import config_for_points
from methods.resolve import resolve_config
from report.tensorboard.page import TensorBoardObserver


@dataclass(frozen=True)
class Request:
    """What a person asks for on the command line.

    Attributes:
        method: its name, or None where `config` names it.
        config: a YAML file in place of the method's defaults.
        settings: "section.key=value" each.
        flags: settings that have an option of their own, by their dotted path; None where it was not given.
        out: folder of the run; None: its default name.
        data_root: where the data sets are kept; None: the usual place.
        resume: go on where an earlier run stopped.
        overwrite: start anew over an earlier run.
        share: take finished phases from earlier runs, and keep this one's.
    """

    method: str | None
    config: Path | None
    settings: Sequence[str]
    flags: Mapping[str, Any]
    out: Path | None
    data_root: Path | None
    resume: bool
    overwrite: bool
    share: bool


class Ended(NamedTuple):
    """A run that is finished.

    Attributes:
        checkpoint: its file.
        on_points: whether its data are points.
        is_first: whether this process is the one that speaks.
    """

    checkpoint: Path
    on_points: bool
    is_first: bool


def train(request: Request, display: Display) -> Ended:
    """The run that `request` asks for, from its config to its checkpoint.

    Raises:
        Whatever is in `engine.fit.REFUSED`: the config or the images cannot be; nothing was trained.
        TrainingError: a loss became NaN or infinite.
        CheckpointError: the state could not be written, or an earlier run stands in the way.
        Interrupted: by Ctrl-C or SIGTERM, once the state is saved.
    """
    asked = resolve_config(request.method, request.config, request.settings, request.flags)
    check_clusters(asked, request.flags["clusters"], request.settings)
    folder = request.out or default_folder(asked, usual_config(request.method, request.config))
    path = folder / "checkpoint.pt"
    if not request.resume:
        check_outside_data(asked)
    processes = launch(asked.runtime)
    images, validation = processes.first_then_all(lambda: load_images(asked, request.data_root))
    config, notes = _config_for(asked, images, request, display)
    skipped: list[str] = []
    known = known_of(config, images, skipped.append, request.data_root)
    for note in ([] if known is None else [known.note(len(images))]) + skipped:
        display.notice(note)
    with alone(folder, processes):
        earlier = processes.once(lambda: earlier_run(path, config, images, known, request.resume, request.overwrite))
        processes.once(lambda: list_left_out(folder, images))
        if earlier is not None and earlier.loop.done:
            display.notice(f"{path} is finished; nothing to do.")
        else:
            fit(
                config,
                images,
                known=known,
                notes=[*notes, *skipped],
                validation=validation,
                processes=processes,
                save=saver(folder),
                earlier=earlier,
                store=shared_phases() if request.share else None,
                display=display,
                watch=lambda run: [_observer(folder, images, run, earlier, known)],
            )
    return Ended(path, images.are_points, processes.is_first)


def load_images(config: RunConfig, data_root: Path | None) -> tuple[ImageSet, ImageSet | None]:
    """What the method is fitted to and, where the config holds a share out, that share."""
    images = prepare(config.data, config.data.split, config.seed, data_root)
    if not config.data.validation:
        return images, None
    return images, prepare(config.data, "validation", config.seed, data_root)


def _config_for(asked: RunConfig, images: ImageSet, request: Request, display: Display) -> tuple[RunConfig, list[str]]:
    """The config with what these images decide, and what tables must say of it."""
    config, notes = asked, []
    if is_open(asked):
        config, note = settled(asked, images.class_names, str(request.config or asked.method))
        display.notice(note)
        notes.append(note)
    if images.was_read is not None:
        display.notice(images.was_read.line())
    if images.are_points:
        config, told = config_for_points(config, request.settings)
        if told is not None:
            display.notice(told)
    return config, notes


def _observer(
    folder: Path, images: ImageSet, config: RunConfig, earlier: Checkpoint | None, known: Known | None
) -> TensorBoardObserver:
    step = 0 if earlier is None else earlier.loop.global_step
    unscored = None if known is None else known.images
    return TensorBoardObserver(folder / "tb", images, config.clusters, step, to_yaml(config), unscored)
