"""Gets a data set and says where it is: `python -m data.fetch fashion-mnist`."""

from __future__ import annotations

from system.start import quiet_imports

if __name__ == "__main__":
    quiet_imports()

from pathlib import Path
from typing import Annotated

import typer

from data.image_set import DataError
from data.sources import load, names
from system.command import App
from system.streams import say

app = App()


@app.command()
def main(
    data: Annotated[str, typer.Argument(help=f"{', '.join(names())}, or a path.")],
    data_root: Annotated[Path | None, typer.Option(help="A folder to search first.")] = None,
) -> None:
    """Find or download DATA, verify it and print one line about it."""
    try:
        images = load(data, "all", data_root)
    except DataError as error:
        say(str(error))
        raise typer.Exit(2) from error
    shape = "×".join(str(size) for size in images.images.shape[1:])
    print(
        f"{data}: {len(images):,} images of {shape}, {len(images.class_names)} classes, "
        f"from {images.origin}, fingerprint {images.fingerprint}"
    )


if __name__ == "__main__":
    app()
