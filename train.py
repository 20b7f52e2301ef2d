"""Train one method on one set of images: `python train.py --method dec`.

The checkpoint's path is the last line on stdout; everything else goes to stderr.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from torch.optim import Optimizer

from clusterers.base import ClusteringError
from configs.load import (
    ConfigError,
    default_file,
    differences,
    read_yaml,
    set_value,
    set_values,
    to_yaml,
    validate,
)
from configs.schema import RunConfig
from data.image_set import DataError, ImageSet
from data.sources import load
from engine.checkpoint import Checkpoint, LoopState, read_checkpoint, write_checkpoint, write_text
from engine.environment import describe_environment
from engine.errors import CheckpointError, Interrupted, TrainingError, UsageError
from engine.loop import Loop
from engine.phase_store import PhaseStore, phase_keys
from engine.processes import Processes, launch, process_number
from engine.progress import Display
from engine.randomness import generator_states, restore_generators, seed_all
from methods.registry import METHODS
from models.autoencoder import ImageShape, ModelError
from monitoring.observer import Observer
from monitoring.tensorboard import TensorBoardObserver
from storage.atomic import remove_torn

CHECKPOINTS = Path(__file__).resolve().parent / "checkpoints"

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    method: Annotated[str | None, typer.Option(help=f"One of: {', '.join(METHODS)}.")] = None,
    data: Annotated[str | None, typer.Option(help="A data set's name, or a path to a folder or .npz.")] = None,
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
        images = processes.first_then_all(lambda: load(run_config.data.name, run_config.data.split, data_root))
        path = folder / "checkpoint.pt"
        earlier = processes.once(lambda: earlier_run(path, run_config, images, resume, overwrite))
        store = PhaseStore(CHECKPOINTS / "phases") if share else None
        train(run_config, images, folder, processes, display, earlier, store)
    except (ConfigError, DataError, ModelError, ClusteringError, UsageError) as error:
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
        print(path)


def resolve_config(
    method: str | None, file: Path | None, assignments: Sequence[str], flags: Mapping[str, Any]
) -> RunConfig:
    """The run's config: the file's settings, then --set, then the flags that were given.

    Raises:
        ConfigError: when the method is missing or unknown, or a setting is not valid.
    """
    if method is None and file is None:
        raise ConfigError(f"name a method or a config: --method {' | '.join(METHODS)}, or --config FILE.")
    if method is not None and method not in METHODS:
        raise ConfigError(f"there is no method {method!r}. Methods: {', '.join(METHODS)}.")
    source = file or default_file(str(method))
    raw = read_yaml(source)
    named = str(raw.setdefault("method", method))
    if named not in METHODS or (method is not None and named != method):
        raise ConfigError(
            f"{source} is for method {named!r}; received --method {method}. Methods: {', '.join(METHODS)}."
        )
    set_values(raw, assignments)
    for path, value in flags.items():
        if value is not None:
            set_value(raw, path, value)
    return validate(METHODS[named].config, raw, f"{source}, --set and the flags" if assignments else str(source))


def default_folder(config: RunConfig) -> Path:
    """checkpoints/<data>-<method>-s<seed>, the data's split beside its name unless it is "train"."""
    data = Path(config.data.name).resolve().stem + ("" if config.data.split == "train" else f"-{config.data.split}")
    return CHECKPOINTS / f"{data}-{config.method}-s{config.seed}"


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
    changed = differences(_deciding(checkpoint.config), _deciding(config.model_dump(mode="json")))
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


def _deciding(config: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that decide a run's outcome; the images themselves are compared by their fingerprint."""
    runtime = {key: value for key, value in config["runtime"].items() if key != "checkpoint_seconds"}
    return {**{key: value for key, value in config.items() if key != "data"}, "runtime": runtime}


def train(
    config: RunConfig,
    images: ImageSet,
    folder: Path,
    processes: Processes,
    display: Display,
    earlier: Checkpoint | None,
    store: PhaseStore | None,
) -> None:
    """Run the method's phases on the images, labels left behind, and write the checkpoint into `folder`."""
    if config.clusters > len(images):
        raise UsageError(f"{config.clusters} clusters for {len(images)} images: k can be at most the number of images.")
    if earlier is not None and earlier.loop.done:
        display.notice(f"{folder / 'checkpoint.pt'} is finished; nothing to do.")
        return

    seed_all(config.seed)
    shape = ImageShape(*images.images.shape[1:])
    method = METHODS[config.method].build(config, shape)
    phases = method.phases(images.images, processes)
    keys = phase_keys(phases, config, images.fingerprint, processes.device, processes.count)
    environment = describe_environment(processes.device, processes.count)
    state = LoopState()
    if earlier is not None:
        method.load_state_dict(earlier.method)
        restore_generators(earlier.generators)
        state = earlier.loop
        changed = differences(earlier.environment, environment)
        if changed:
            display.notice("not the same bits as without the stop, since these differ: " + "; ".join(changed))
        display.notice(f"going on in phase {state.phase + 1} of {len(phases)}, epoch {state.epoch + 1}")

    checkpoint = Checkpoint(
        config=config.model_dump(mode="json"),
        data={
            "name": images.name,
            "split": images.split,
            "fingerprint": images.fingerprint,
            "n": len(images),
            "shape": list(shape),
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
    loop = Loop(method, images.images, keys, config, processes, save, display, observers, store, state)
    try:
        loop.run(phases, earlier.optimiser if earlier is not None else None)
        checkpoint.assignments = method.assign(images.images).labels
        state.done = True
        processes.once(lambda: save(state, None))
    finally:
        display.stop()
        for observer in observers:
            observer.close()


def leave(display: Display, message: str, code: int) -> typer.Exit:
    """Say why on stderr, and the exit that carries `code`."""
    display.stop()
    display.notice(message)
    return typer.Exit(code)


if __name__ == "__main__":
    app()
