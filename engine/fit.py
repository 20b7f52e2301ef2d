"""`fit`: a config and images in, a fitted method out. The one way to run a method, for commands and from Python."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from jaxtyping import Num
from torch import Tensor

from configs.load import ConfigError, differences
from configs.schema import RunConfig
from data.fingerprints import short_fingerprints
from data.image_set import DataError, ImageSet
from data.known import Known
from data.prepare import place_of, protocol_notes
from data.subsets import count_different
from engine.checkpoint import Checkpoint
from engine.environment import arithmetic, describe_environment, describe_machine
from engine.errors import UsageError
from engine.keeper import Keeper
from engine.kept_features import recall_features
from engine.loop import Loop
from engine.observer import Observer
from engine.phase_keys import phase_keys
from engine.phase_store import PhaseStore
from engine.precision import settled
from engine.processes import Processes, launch
from engine.progress import Display
from engine.randomness import restore_generators, seed_all
from engine.step_graph import CAPTURES
from estimators.base import ClusteringError, RepresentationError
from methods.base import Assignments, Method, NamedImages, SemiSupervised
from methods.registry import METHODS
from models.autoencoder import ModelError, shape_of
from parts.phases import Phase

REFUSED = (ConfigError, DataError, ModelError, ClusteringError, RepresentationError, UsageError)
"""What is raised before the training for a config or images that cannot be. The message is for the user."""


@contextmanager
def refusals_as(kind: type[Exception]) -> Iterator[None]:
    """Raise what is in `REFUSED` as `kind`, with its message, for callers who know no other."""
    try:
        yield
    except REFUSED as error:
        raise kind(str(error)) from error


@dataclass(frozen=True)
class Fitted:
    """A method at the end of its last phase.

    Attributes:
        method: answers for any images.
        assignments: of the training images.
        checkpoint: all about the run.
    """

    method: Method
    assignments: Assignments
    checkpoint: Checkpoint


def fit(
    config: RunConfig,
    images: ImageSet,
    *,
    method: Method | None = None,
    known: Known | None = None,
    notes: Sequence[str] = (),
    validation: ImageSet | None = None,
    processes: Processes | None = None,
    save: Callable[[Checkpoint], None] | None = None,
    earlier: Checkpoint | None = None,
    store: PhaseStore | None = None,
    display: Display | None = None,
    watch: Callable[[RunConfig], Sequence[Observer]] = lambda config: (),
) -> Fitted:
    """Run the phases of the method that `config` names. Labels of `images` are not looked at.

    Args:
        config: of the run, see `methods.resolve.resolve_config`.
        images: the training images.
        known: what the method may know of some images besides, see `data.known`. It is kept in the checkpoint, so that
            scores leave these images out.
        method: built already, for images of this shape; by default what `config` names, its weights by its seed.
        notes: what tables must say of the run besides.
        validation: held out of them: losses on these are reported after every epoch, and decide nothing.
        processes: device and processes; by default what `config.runtime` says.
        save: called with the run as it stands at the start, now and then, and at the end; on the first process alone.
        earlier: a run of the same config and images, as `save` was given it, to go on with.
        store: where finished phases are taken from and kept for other runs.
        display: what a person sees; by default nothing.
        watch: makes those who are told of every step, from the run's config, once the training begins; on the first
            process alone.

    Raises:
        UsageError: too few different images, a network too large for the memory, or known labels and a method that
            cannot learn from them.
        ModelError: the network does not fit the images.
        TrainingError: a loss became NaN or infinite.
        Interrupted: by Ctrl-C or SIGTERM, once the state is saved.
    """
    processes = processes or launch(config.runtime)
    display = display or Display(quiet=True)
    _check_enough(config, images)
    seed_all(config.seed)
    if method is None:
        method = _build(config, images)
    if isinstance(method, NamedImages) and images.names is not None:
        method.take_names(images.names)
    pixels = images.images
    _say_what_is_not_captured(config, processes, display)
    config = settled(config, method, pixels, processes, earlier, display.notice)
    phases = _phases(config, method, pixels, processes, known)
    # Keys name phases for other runs, and for this one when it goes on.
    keys = [phase.name for phase in phases]
    if save is not None or store is not None:
        keys = phase_keys(phases, pixels, processes, _common(config, images, validation, processes))
    checkpoint = _begin(config, images, processes, notes, known)
    if earlier is not None:
        _go_on(method, earlier, checkpoint, len(phases), display)
        if store is not None:
            recall_features(method, earlier.loop.keys, lambda key: processes.once(lambda: store.get(key)))
    begun = None if earlier is None else earlier.optimiser
    keeper = Keeper(method, checkpoint, phases, save)
    # That nothing can be written is found out now, and not after the training.
    processes.once(lambda: keeper.keep(begun))
    observers = watch(config) if processes.is_first else ()
    held_out = None if validation is None else validation.images
    loop = Loop(
        method, pixels, keys, config, processes, keeper.write, display, observers, store, held_out, checkpoint.loop
    )
    try:
        loop.run(phases, begun)
        assignments = method.assign(pixels)
        checkpoint.assignments, checkpoint.loop.done = assignments.labels, True
        for note in method.notes:
            display.notice(f"{config.title}: {note}")
        processes.once(lambda: keeper.keep(None))
    finally:
        display.stop()
        for observer in observers:
            observer.close()
    return Fitted(method, assignments, checkpoint)


def _check_enough(config: RunConfig, images: ImageSet) -> None:
    needed = config.different_images_needed
    different = count_different(images.images, needed)
    if different < needed:
        raise UsageError(
            f"{config.clusters} clusters for {len(images)} images, of which {different} differ: k can be at most the "
            "number of different images. Look at the images, or ask for fewer clusters."
        )


def _say_what_is_not_captured(config: RunConfig, processes: Processes, display: Display) -> None:
    if config.runtime.capture and processes.count > 1 and processes.device.type in CAPTURES:
        display.notice("steps are launched one by one: one process alone captures its steps")


def _build(config: RunConfig, images: ImageSet) -> Method:
    try:
        return METHODS[config.method].build(config, shape_of(images.images.shape[1:], images.are_points))
    except (MemoryError, RuntimeError) as error:  # torch's word for memory that it does not get
        reason = str(error).partition("\n")[0][:200]
        raise UsageError(f"a network of these settings cannot be built here: {reason}. Make it smaller.") from error


def _phases(
    config: RunConfig,
    method: Method,
    pixels: Num[Tensor, "n c h w"],
    processes: Processes,
    known: Known | None,
) -> Sequence[Phase]:
    """The method's phases, on the images and on what is known of them."""
    if known is None:
        if config.known:
            raise UsageError(f"the config says known: {config.known}; read it by data.known_file and hand it to fit.")
        return method.phases(pixels, processes)
    if not isinstance(method, SemiSupervised):
        raise UsageError(f"{config.method} cannot learn from known labels.")
    return method.semi_supervised_phases(pixels, processes, known)


def _common(
    config: RunConfig, images: ImageSet, validation: ImageSet | None, processes: Processes
) -> dict[str, object]:
    """What the outcome of every phase depends on, and no phase holds."""
    return {
        "images": [images.fingerprint, None if validation is None else validation.fingerprint],
        "seed": config.seed,
        "machine": describe_machine(processes.device, processes.count, config.runtime),
    }


def _begin(
    config: RunConfig, images: ImageSet, processes: Processes, notes: Sequence[str], known: Known | None
) -> Checkpoint:
    """The run before its first step."""
    computed = arithmetic(processes.device, config.runtime)
    knows = () if known is None else (known.note(len(images)),)
    return Checkpoint(
        config=config.model_dump(mode="json"),
        data={
            "name": images.name,
            "split": images.split,
            "fingerprint": images.fingerprint,
            "n": len(images),
            "shape": list(images.images.shape[1:]),
            "points": images.are_points,
            "image_fingerprints": short_fingerprints(images.images),
            "names": None if images.names is None else images.names.state(),
            "reading": None if images.was_read is None else images.was_read.reading(),
            "place": place_of(images.name),
            "known": None if known is None else _knowledge(known, images),
            # Plain float32 on a CPU is nothing that a table must say.
            "notes": [*notes, *knows, *protocol_notes(config.data), *([] if computed == "float32" else [computed])],
        },
        environment=describe_environment(processes.device, processes.count, config.runtime),
    )


def _knowledge(known: Known, images: ImageSet) -> dict[str, Any]:
    """What is known, and by what its images are found again in any set."""
    return {**known.state(), "fingerprints": short_fingerprints(images.images[known.images])}


def _go_on(method: Method, earlier: Checkpoint, checkpoint: Checkpoint, phases: int, display: Display) -> None:
    """Take the state of an earlier run, and say what differs on this machine."""
    method.load_state_dict(earlier.method)
    restore_generators(earlier.generators)
    checkpoint.loop = state = earlier.loop
    checkpoint.pretrained = earlier.pretrained
    changed = differences(earlier.environment, checkpoint.environment)
    if changed:
        notice = "not the same bits as without the stop, since these differ: " + "; ".join(changed)
        state.history.append({"phase": "resume", "step": state.global_step, "notice": notice})
        display.notice(notice)
    display.notice(f"going on in phase {state.phase + 1} of {phases}, epoch {state.epoch + 1}")
