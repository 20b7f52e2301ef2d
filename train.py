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
    from engine.errors import CheckpointError, Interrupted, TrainingError
    from engine.fit import REFUSED
    from engine.memory import keep_freed_memory
    from engine.processes import process_number
    from engine.progress import Display
    from report.train_run import Request, train

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
        ended = train(Request(method, config, set_ or [], flags, out, data_root, resume, overwrite, share), display)
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
    if ended.is_first:
        display.stop()
        path, gallery = shlex.quote(str(ended.checkpoint)), "" if ended.on_points else " --gallery DIR"
        display.notice(f"scores:    python eval.py {path}")
        display.notice(f"clusters:  python predict.py {path}{gallery}")
        print_path(ended.checkpoint)


def leave(display: Display, message: str, code: int) -> typer.Exit:
    """Say why on stderr, and the exit that carries `code`."""
    display.stop()
    display.notice(message)
    return typer.Exit(code)


if __name__ == "__main__":
    app()
