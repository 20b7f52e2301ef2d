"""Train one method on one set of images: `python train.py --method dec`.

The checkpoint's path is the last line on stdout; everything else goes to stderr.
"""

from __future__ import annotations

from terminal.start import quiet_imports

if __name__ == "__main__":
    quiet_imports()

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Annotated

import torch
import typer
from torch.optim import Optimizer

from clusterers.base import ClusteringError
from configs.load import ConfigError, differences, to_yaml
from configs.schema import RunConfig
from data.image_set import DataError, ImageSet
from data.prepare import prepare, protocol_notes
from data.subsets import count_different
from engine.checkpoint import Checkpoint, LoopState, read_checkpoint, write_checkpoint, write_text
from engine.environment import arithmetic, describe_environment, describe_machine
from engine.errors import CheckpointError, Interrupted, TrainingError, UsageError
from engine.loop import Loop
from engine.memory import keep_freed_memory
from engine.phase_keys import phase_keys
from engine.phase_store import PhaseStore
from engine.processes import Processes, launch, process_number
from engine.progress import Display
from engine.randomness import generator_states, restore_generators, seed_all
from engine.run_folder import CHECKPOINTS, deciding, default_folder, lock_file
from methods.registry import METHODS, method_names
from methods.resolve import resolve_config
from models.autoencoder import ImageShape, ModelError
from monitoring.observer import Observer
from monitoring.tensorboard import TensorBoardObserver
from representations.base import RepresentationError
from storage.atomic import remove_torn
from storage.lock import locked
from terminal.command import App
from terminal.streams import print_path

app = App()


@app.command()
def main(
    method: Annotated[str | None, typer.Option(help=f"{method_names()}.")] = None,
    data: Annotated[
        str | None, typer.Option(help="A data set's name, or a path: a folder, .npz, .csv, .parquet, IDX.")
    ] = None,
    config: Annotated[Path | None, typer.Option(help="A YAML file in place of configs/<method>.yaml.")] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="A setting: pretrain.epochs=20.")
    ] = None,
    clusters: Annotated[int | None, typer.Option(help="Number of clusters k.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of all randomness.")] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder of the run; checkpoints/<data>-<method>-s<seed> if not given.")
    ] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda or mps.")] = None,
    precision: Annotated[str | None, typer.Option(help="32-true or bf16-mixed.")] = None,
    devices: Annotated[int | None, typer.Option(help="Processes on this machine.")] = None,
    nodes: Annotated[int | None, typer.Option(help="Machines, each started under torchrun.")] = None,
    data_root: Annotated[Path | None, typer.Option(help="Where the data sets are kept.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on where an earlier run stopped.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Start anew over an earlier run.")] = False,
    share: Annotated[bool, typer.Option(help="Take finished phases from earlier runs, and keep ours.")] = True,
) -> None:
    """Train one method and write one checkpoint."""
    keep_freed_memory()
    flags = {
        "data.name": data,
        "clusters": clusters,
        "seed": seed,
        "runtime.device": device,
        "runtime.precision": precision,
        "runtime.devices": devices,
        "runtime.nodes": nodes,
    }
    display = Display(quiet=process_number() > 0)
    try:
        run_config = resolve_config(method, config, set_ or [], flags)
        folder = out or default_folder(run_config)
        processes = launch(run_config.runtime)
        images, validation = processes.first_then_all(lambda: load_images(run_config, data_root))
        path = folder / "checkpoint.pt"
        with alone(folder, processes):
            earlier = processes.once(lambda: earlier_run(path, run_config, images, resume, overwrite))
            store = PhaseStore(CHECKPOINTS / "phases") if share else None
            train(run_config, images, validation, folder, processes, display, earlier, store)
    except (ConfigError, DataError, ModelError, ClusteringError, RepresentationError, UsageError) as error:
        raise leave(display, str(error), 2) from error
    except (TrainingError, CheckpointError) as error:
        raise leave(display, str(error), 1) from error
    except Interrupted as error:
        raise leave(display, "interrupted; the state is saved. The same command with --resume goes on.", 130) from error
    except KeyboardInterrupt as error:
        raise leave(
            display, "stopped at once. The same command with --resume goes on from the last checkpoint.", 130
        ) from error
    if processes.is_first:
        print_path(path)


def load_images(config: RunConfig, data_root: Path | None) -> tuple[ImageSet, ImageSet | None]:
    """What the method is fitted to and, where the config holds a share out, that share."""
    images = prepare(config.data, config.data.split, config.seed, data_root)
    if not config.data.validation:
        return images, None
    return images, prepare(config.data, "validation", config.seed, data_root)


@contextmanager
def alone(folder: Path, processes: Processes) -> Iterator[None]:
    """Within the block no other command trains into `folder`.

    Raises:
        UsageError: when another one does, or the folder cannot be written.
    """
    with ExitStack() as stack:

        def lock() -> bool:
            return stack.enter_context(locked(lock_file(folder), lambda: False))

        try:
            held = processes.once(lock)
        except OSError as error:
            raise UsageError(f"cannot write into {folder}: {error.strerror}. --out names another folder.") from error
        if not held:
            raise UsageError(f"another command trains into {folder} right now. --out names another folder.")
        yield


def earlier_run(path: Path, config: RunConfig, images: ImageSet, resume: bool, overwrite: bool) -> Checkpoint | None:
    """The checkpoint to go on from, or None to begin.

    Raises:
        UsageError: when a run is there and neither --resume nor --overwrite was given, or it is another run,
            or its checkpoint is damaged.
    """
    try:
        if overwrite or not path.exists():
            return None
    except OSError as error:
        raise UsageError(f"cannot look into {path.parent}: {error.strerror}. --out names another folder.") from error
    if not resume:
        raise UsageError(
            f"{path} holds an earlier run. --resume goes on with it, --overwrite starts anew over it, "
            "--out DIR leaves it alone."
        )
    try:
        checkpoint = read_checkpoint(path)
    except CheckpointError as error:
        raise UsageError(f"--resume: {error} --overwrite starts anew.") from error
    changed = differences(deciding(checkpoint.config), deciding(config.model_dump(mode="json")))
    if checkpoint.data["fingerprint"] != images.fingerprint:
        changed.append(
            f"the images: {checkpoint.data['n']} of fingerprint {checkpoint.data['fingerprint'][:12]} → "
            f"{len(images)} of fingerprint {images.fingerprint[:12]}"
        )
    if changed:
        raise UsageError(
            f"--resume: {path} is another run. What differs (there → here):\n  "
            + "\n  ".join(changed)
            + "\n--overwrite starts anew over it, --out DIR leaves it alone."
        )
    return checkpoint


def train(
    config: RunConfig,
    images: ImageSet,
    validation: ImageSet | None,
    folder: Path,
    processes: Processes,
    display: Display,
    earlier: Checkpoint | None,
    store: PhaseStore | None,
) -> None:
    """Run the method's phases on the images, labels left behind, and write the checkpoint into `folder`."""
    different = count_different(images.images, config.different_images_needed)
    if different < config.different_images_needed:
        raise UsageError(
            f"{config.clusters} clusters for {len(images)} images, of which {different} differ: k can be at most the "
            "number of different images. Look at the data (explore.py draws them), or ask for fewer --clusters."
        )
    if earlier is not None and earlier.loop.done:
        display.notice(f"{folder / 'checkpoint.pt'} is finished; nothing to do.")
        return

    seed_all(config.seed)
    shape = ImageShape(*images.images.shape[1:])
    try:
        method = METHODS[config.method].build(config, shape)
    except (MemoryError, RuntimeError) as error:  # torch's word for memory that it does not get
        reason = str(error).partition("\n")[0][:200]
        raise UsageError(f"a network of these settings cannot be built here: {reason}. Make it smaller.") from error
    phases = method.phases(images.images, processes)
    device, count = processes.device, processes.count
    common = {
        "images": [images.fingerprint, None if validation is None else validation.fingerprint],
        "seed": config.seed,
        "machine": describe_machine(device, count, config.runtime),
    }
    keys = phase_keys(phases, images.images, processes, common)
    environment = describe_environment(device, count, config.runtime)
    state = LoopState()
    if earlier is not None:
        method.load_state_dict(earlier.method)
        restore_generators(earlier.generators)
        state = earlier.loop
        changed = differences(earlier.environment, environment)
        if changed:
            notice = "not the same bits as without the stop, since these differ: " + "; ".join(changed)
            state.history.append({"phase": "resume", "step": state.global_step, "notice": notice})
            display.notice(notice)
        display.notice(f"going on in phase {state.phase + 1} of {len(phases)}, epoch {state.epoch + 1}")

    checkpoint = Checkpoint(
        config=config.model_dump(mode="json"),
        data={
            "name": images.name,
            "split": images.split,
            "fingerprint": images.fingerprint,
            "n": len(images),
            "shape": list(shape),
            "notes": [*protocol_notes(config.data), *arithmetic_notes(device, config)],
        },
        environment=environment,
    )

    def save(state: LoopState, optimiser: Optimizer | None) -> None:
        checkpoint.loop = state
        checkpoint.method = method.state_dict()
        checkpoint.optimiser = None if optimiser is None else optimiser.state_dict()
        checkpoint.generators = generator_states()
        write_checkpoint(folder / "checkpoint.pt", checkpoint)

    if processes.is_first:
        remove_torn(folder / "checkpoint.pt")
    # A folder that cannot be written is found out now, not after the training.
    processes.once(lambda: write_text(folder / "config.yaml", to_yaml(config)))
    if earlier is None:
        processes.once(lambda: save(state, None))
    observers: list[Observer] = []
    if processes.is_first:
        observers.append(
            TensorBoardObserver(folder / "tb", images, config.clusters, state.global_step, to_yaml(config))
        )
    held_out = None if validation is None else validation.images
    loop = Loop(method, images.images, keys, config, processes, save, display, observers, store, held_out, state)
    try:
        loop.run(phases, earlier.optimiser if earlier is not None else None)
        checkpoint.assignments = method.assign(images.images).labels
        for note in method.notes:
            display.notice(f"{config.title}: {note}")
        state.done = True
        processes.once(lambda: save(state, None))
    finally:
        display.stop()
        for observer in observers:
            observer.close()


def arithmetic_notes(device: torch.device, config: RunConfig) -> tuple[str, ...]:
    """What a table must say of the networks' arithmetic; nothing of plain float32 on a CPU."""
    found = arithmetic(device, config.runtime)
    return () if found == "float32" else (found,)


def leave(display: Display, message: str, code: int) -> typer.Exit:
    """Say why on stderr, and the exit that carries `code`."""
    display.stop()
    display.notice(message)
    return typer.Exit(code)


if __name__ == "__main__":
    app()
