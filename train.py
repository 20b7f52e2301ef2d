"""Train one method on one set of images: `python train.py --method dec`.

The checkpoint's path is the last line on stdout; everything else goes to stderr.
"""

from __future__ import annotations

from system.start import quiet_imports

if __name__ == "__main__":
    quiet_imports()

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from methods.registry import method_names, methods_table
from system.command import App, NoCache
from system.streams import print_path

if TYPE_CHECKING:
    from configs.schema import RunConfig
    from data.image_set import ImageSet
    from engine.progress import Display

app = App()


@app.command(help=f"Train one method and write one checkpoint.\n\n\b\nMETHODS\n{methods_table()}")
def main(
    method: Annotated[str | None, typer.Option(metavar="METHOD", help="One of the methods above.")] = None,
    data: Annotated[
        str | None, typer.Option(help="A data set's name, or a path: a folder, .npz, .npy, .csv, .parquet, IDX.")
    ] = None,
    config: Annotated[Path | None, typer.Option(help="A YAML file in place of configs/<method>.yaml.")] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="A setting: pretrain.epochs=20.")
    ] = None,
    clusters: Annotated[int | None, typer.Option(help="Number of clusters k.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of all randomness.")] = None,
    known: Annotated[
        str | None,
        typer.Option(
            metavar="FILE|SHARE",
            help="Labels of some images, or linked pairs: a CSV file; or a share of the images, for research.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder of the run; its default name tells data, method, k, seed and other settings."),
    ] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda or mps.")] = None,
    precision: Annotated[str | None, typer.Option(help="32-true, bf16-mixed, or auto: the fastest here.")] = None,
    devices: Annotated[int | None, typer.Option(help="Processes on this machine.")] = None,
    nodes: Annotated[int | None, typer.Option(help="Machines, each started under torchrun.")] = None,
    data_root: Annotated[Path | None, typer.Option(help="Where the data sets are kept.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on where an earlier run stopped.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Start anew over an earlier run.")] = False,
    no_cache: NoCache = False,
    share: Annotated[bool, typer.Option(help="Take finished phases from earlier runs, and keep ours.")] = True,
) -> None:
    """Train one method and write one checkpoint."""
    # Here, where torch and all that stands on it are needed: --help answers without these seconds.
    from configs.load import to_yaml
    from data.known_file import read_known
    from engine.errors import CheckpointError, Interrupted, TrainingError
    from engine.fit import REFUSED, fit
    from engine.memory import keep_freed_memory
    from engine.number_of_clusters import check_clusters, is_open, settled
    from engine.phase_store import PhaseStore
    from engine.processes import launch, process_number
    from engine.progress import Display
    from engine.run_folder import CHECKPOINTS, alone, default_folder, earlier_run, list_left_out, saver, usual_config
    from methods.points import config_for_points
    from methods.resolve import resolve_config
    from report.tensorboard.page import TensorBoardObserver

    keep_freed_memory()
    flags = {
        "data.name": data,
        "clusters": clusters,
        "seed": seed,
        "known": known,
        "runtime.device": device,
        "runtime.precision": precision,
        "runtime.devices": devices,
        "runtime.nodes": nodes,
    }
    display = Display(quiet=process_number() > 0)
    if method is None and config is None:
        raise leave(display, f"name a method, --method NAME, or a config, --config FILE. Methods: {method_names()}.", 2)
    try:
        asked = resolve_config(method, config, set_ or [], flags)
        check_clusters(asked, clusters, set_ or [])
        folder = out or default_folder(asked, usual_config(method, config))
        processes = launch(asked.runtime)
        images, validation = processes.first_then_all(lambda: load_images(asked, data_root))
        run_config, notes = asked, []
        if is_open(asked):
            run_config, note = settled(asked, images.class_names, str(config or asked.method))
            display.notice(note)
            notes.append(note)
        path = folder / "checkpoint.pt"
        if images.was_read is not None:
            display.notice(images.was_read.line())
        if images.are_points:
            run_config, told = config_for_points(run_config, set_ or [])
            if told is not None:
                display.notice(told)
        knowledge = read_known(run_config.known, images, run_config.clusters, run_config.seed)
        with alone(folder, processes):
            earlier = processes.once(lambda: earlier_run(path, run_config, images, knowledge, resume, overwrite))
            processes.once(lambda: list_left_out(folder, images))
            if earlier is not None and earlier.loop.done:
                display.notice(f"{path} is finished; nothing to do.")
            else:
                step = 0 if earlier is None else earlier.loop.global_step
                fit(
                    run_config,
                    images,
                    known=knowledge,
                    notes=notes,
                    validation=validation,
                    processes=processes,
                    save=saver(folder),
                    earlier=earlier,
                    store=PhaseStore(CHECKPOINTS / "phases") if share else None,
                    display=display,
                    watch=lambda settled: [
                        TensorBoardObserver(
                            folder / "tb",
                            images,
                            settled.clusters,
                            step,
                            to_yaml(settled),
                            None if knowledge is None else knowledge.images,
                        )
                    ],
                )
    except REFUSED as error:
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
        display.stop()
        display.notice(f"scores:    python eval.py {shlex.quote(str(path))}")
        gallery = "" if images.are_points else " --gallery DIR"
        display.notice(f"clusters:  python predict.py {shlex.quote(str(path))}{gallery}")
        print_path(path)


def load_images(config: RunConfig, data_root: Path | None) -> tuple[ImageSet, ImageSet | None]:
    """What the method is fitted to and, where the config holds a share out, that share."""
    from data.prepare import prepare

    images = prepare(config.data, config.data.split, config.seed, data_root)
    if not config.data.validation:
        return images, None
    return images, prepare(config.data, "validation", config.seed, data_root)


def leave(display: Display, message: str, code: int) -> typer.Exit:
    """Say why on stderr, and the exit that carries `code`."""
    display.stop()
    display.notice(message)
    return typer.Exit(code)


if __name__ == "__main__":
    app()
